package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// stopTimeout is how long a child may take to end after SIGTERM.
const stopTimeout = 20 * time.Second

// child is one process of the system measured.
type child struct {
	name  string
	log   string // file with its output
	cmd   *exec.Cmd
	meant atomic.Bool   // it is killed on purpose: no reason to end the run
	done  chan struct{} // closed when it has ended
	err   error         // of Wait; read after done
}

// startChild runs a program with its output in dir. When it ends before stop
// is called, died gets an error that shows its last lines.
func startChild(dir, name string, env []string, died context.CancelCauseFunc, argv ...string) (*child, error) {
	logName := filepath.Join(dir, name+".log")
	out, err := os.Create(logName)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer out.Close()
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // stop ends it, with SIGTERM and in order
	c := &child{name: name, log: logName, cmd: cmd, done: make(chan struct{})}
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = dir, out, out
	c.cmd.Env = append(os.Environ(), env...)
	// A group of its own, so that Ctrl-C reaches only this program, which then
	// stops the children in order; and no child outlives this program.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
		if c.meant.Load() {
			return
		}
		died(fmt.Errorf("%s ended (%w); its last output:\n%s", name, orEnded(c.err), c.tail(15)))
	}()
	return c, nil
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop asks the process to end, and kills it when it does not.
func (c *child) stop() error {
	select {
	case <-c.done:
		return nil
	default:
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // already gone: done says so
	select {
	case <-c.done:
		return nil
	case <-time.After(stopTimeout):
	}
	_ = c.cmd.Process.Kill()
	<-c.done
	return fmt.Errorf("%s did not end within %v of SIGTERM and was killed; its last output:\n%s", c.name, stopTimeout, c.tail(15))
}

// kill ends the process at once, which is no failure of the run.
func (c *child) kill() {
	c.meant.Store(true)
	_ = c.cmd.Process.Kill() // already gone: done says so
	<-c.done
}

// tail is the end of the process's output.
func (c *child) tail(lines int) []byte {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return []byte(err.Error())
	}
	text = bytes.TrimRight(text, "\n")
	for at := len(text); at > 0; lines-- {
		at = bytes.LastIndexByte(text[:at], '\n')
		if at >= 0 && lines <= 1 {
			return text[at+1:]
		}
	}
	return text
}
