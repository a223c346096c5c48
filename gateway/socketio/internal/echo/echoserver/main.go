// Command echoserver runs the echo server for the published test suites of both protocols; -h lists what it takes.
package main

import (
	"os"

	"supmesh.dev/gateway/socketio/internal/echo"
)

func main() {
	if err := echo.Command(os.Args[1:]); err != nil {
		os.Exit(1)
	}
}
