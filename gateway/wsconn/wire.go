package wsconn

import (
	"net"
	"time"
)

// wire is the connection as the library sees it: the transport it reads frames from and writes its own frames to. Those are
// pongs and close frames; they go through the same queue as all others, whole.
type wire Conn

// Read gives the library the next bytes of the socket, after the guards have looked at them.
func (w *wire) Read(p []byte) (int, error) { return (*Conn)(w).read(p) }

// Write queues the frames that p completes. It never blocks. What comes after a close frame vanishes.
func (w *wire) Write(p []byte) (int, error) {
	c := (*Conn)(w)
	c.cut.add(p)
	for {
		b, header := c.cut.next()
		if b == nil {
			return len(p), nil
		}
		f := &Frame{wire: b, header: header}
		if f.opcode() == opClose {
			c.libraryClose(f)
			continue
		}
		if err := c.Send(f); err == ErrFull { //nolint:errorlint // Send returns it bare
			return 0, err
		}
	}
}

// Close is called by the library when it has given up or seen a close frame. The reader ends the connection itself, so this
// only makes sure that it is not waiting for the peer.
func (w *wire) Close() error {
	c := (*Conn)(w)
	if c.phase.Load()&(phaseClosing|phaseReadDone) == 0 {
		c.expireRead()
	}
	return nil
}

func (w *wire) LocalAddr() net.Addr                { return w.nc.LocalAddr() }
func (w *wire) RemoteAddr() net.Addr               { return w.nc.RemoteAddr() }
func (w *wire) SetDeadline(t time.Time) error      { return w.nc.SetDeadline(t) }      //nolint:wrapcheck // pure delegation
func (w *wire) SetReadDeadline(t time.Time) error  { return w.nc.SetReadDeadline(t) }  //nolint:wrapcheck // pure delegation
func (w *wire) SetWriteDeadline(t time.Time) error { return w.nc.SetWriteDeadline(t) } //nolint:wrapcheck // pure delegation
