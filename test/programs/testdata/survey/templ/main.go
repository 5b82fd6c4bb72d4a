// Command templ serves a component of github.com/a-h/templ.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/a-h/templ"
)

func hello(name string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		_, err := fmt.Fprintf(w, "<p>hello, %s</p>\n", templ.EscapeString(name))
		return err
	})
}

func main() {
	http.Handle("/", templ.Handler(hello("a <guest>")))
	log.Fatal(http.ListenAndServe(":8080", nil))
}
