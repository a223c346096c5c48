//go:build !linux

package wsconn

import "syscall"

// directIO: without non-blocking calls every connection reads in a goroutine and writes in one while it has something to write.
const directIO = false

type directWriter struct{}

func (*directWriter) init() {}

func (*directWriter) send(syscall.RawConn, []byte) (int, error) { return 0, syscall.ENOTSUP }

type kitIO struct{}

func (*kitIO) init() {}

func (*kitIO) receive(syscall.RawConn, []byte) (int, error) { return 0, syscall.ENOTSUP }

// poller does not exist here: no connection is polled.
type poller struct{}

func newPoller(*Engine) (*poller, error) { return nil, nil } //nolint:nilnil // nil means goroutines

func (*poller) run() {}

func (*poller) stop() {}

func (*poller) add(*Conn) error { return syscall.ENOTSUP }

func (*poller) dispatch(*Conn) {}
