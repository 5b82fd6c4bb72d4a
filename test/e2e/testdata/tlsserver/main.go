// Command tlsserver serves HTTPS and verifies nobody.
package main

import (
	"fmt"
	"net/http"
)

func main() {
	fmt.Println(http.ListenAndServeTLS(":443", "/tls/cert.pem", "/tls/key.pem", nil))
}
