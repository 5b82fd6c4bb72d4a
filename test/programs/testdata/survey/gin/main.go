// Command gin answers over HTTP with github.com/gin-gonic/gin.
package main

import (
	"log"
	"net/http"

	"github.com/gin-gonic/gin"
)

func main() {
	gin.SetMode(gin.ReleaseMode)
	r := gin.Default()
	r.GET("/hello/:name", func(c *gin.Context) { c.String(http.StatusOK, "hello, %s\n", c.Param("name")) })
	log.Fatal(r.Run(":8080"))
}
