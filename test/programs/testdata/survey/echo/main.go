// Command echo answers over HTTP with github.com/labstack/echo.
package main

import (
	"log"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

func main() {
	e := echo.New()
	e.Use(middleware.Logger(), middleware.Recover(), middleware.Gzip())
	e.GET("/hello/:name", func(c echo.Context) error {
		return c.String(http.StatusOK, "hello, "+c.Param("name")+"\n")
	})
	log.Fatal(e.Start(":8080"))
}
