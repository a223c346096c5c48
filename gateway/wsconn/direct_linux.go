package wsconn

import (
	"bufio"
	"io"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// directIO: a plain TCP socket is read and written by system calls that never block, inside RawConn.Control, which keeps the
// descriptor from being closed and given to somebody else meanwhile. The calls bypass the scheduler's bookkeeping: they do
// not wait, and at one frame a write the bookkeeping is a sixth of the cost.
const directIO = true

// directWriter sends to one socket at a time. Its closure is made once, not per write.
type directWriter struct {
	p    []byte
	n    int
	err  error
	call func(fd uintptr)
}

func (w *directWriter) init() {
	w.call = func(fd uintptr) {
		for {
			n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&w.p[0])), uintptr(len(w.p)),
				unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
			switch errno {
			case 0:
				w.n, w.err = int(n), nil
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				w.n, w.err = 0, nil
			default:
				w.n, w.err = 0, errno
			}
			return
		}
	}
}

// send writes as much of p, which must not be empty, as the socket takes.
func (w *directWriter) send(raw syscall.RawConn, p []byte) (int, error) {
	w.p = p
	err := raw.Control(w.call)
	w.p = nil
	if err != nil {
		return 0, err //nolint:wrapcheck // the caller does
	}
	return w.n, w.err
}

// kitIO reads from one socket at a time, with a buffer that idle connections do not have to own.
type kitIO struct {
	p    []byte
	n    int
	err  error
	call func(fd uintptr)
	br   bufio.Reader
}

const kitRead = 4 << 10

func (r *kitIO) init() {
	r.br = *bufio.NewReaderSize(nil, kitRead)
	r.call = func(fd uintptr) {
		for {
			n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&r.p[0])), uintptr(len(r.p)),
				unix.MSG_DONTWAIT, 0, 0)
			switch {
			case errno == unix.EINTR:
				continue
			case errno == unix.EAGAIN:
				r.n, r.err = 0, errIdle
			case errno != 0:
				r.n, r.err = 0, errno
			case n == 0:
				r.n, r.err = 0, io.EOF
			default:
				r.n, r.err = int(n), nil
			}
			return
		}
	}
}

// receive reads what is there; errIdle means that nothing is.
func (r *kitIO) receive(raw syscall.RawConn, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.p = p
	err := raw.Control(r.call)
	r.p = nil
	if err != nil {
		return 0, err //nolint:wrapcheck // finish reports it
	}
	return r.n, r.err
}
