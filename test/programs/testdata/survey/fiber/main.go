// Command fiber answers over HTTP with github.com/gofiber/fiber, on fasthttp.
package main

import (
	"log"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/logger"
)

func main() {
	app := fiber.New()
	app.Use(logger.New())
	app.Get("/hello/:name", func(c *fiber.Ctx) error { return c.SendString("hello, " + c.Params("name") + "\n") })
	log.Fatal(app.Listen(":8080"))
}
