package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	osexec "os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/utils/exec"
)

// Output that outlives its process, because a child of it keeps the pipe, is waited for this long.
const outputGrace = time.Second

// container is a process of this machine, with its log in the form of the CRI.
type container struct {
	id        string
	pod       *corev1.Pod
	spec      corev1.Container
	directory string
	started   time.Time
	finished  time.Time
	code      int
	log       *os.File
	command   *osexec.Cmd
	stdin     io.WriteCloser
	terminal  *os.File
	done      chan struct{}

	mutex    sync.Mutex
	attached map[io.Writer]string
	partial  map[string][]byte
}

func (c *container) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c *container) process(command []string) *osexec.Cmd {
	made := osexec.Command(command[0], command[1:]...)
	made.Dir = c.directory
	made.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.directory, "HOSTNAME=" + c.pod.Name}
	for _, variable := range c.spec.Env {
		made.Env = append(made.Env, variable.Name+"="+variable.Value)
	}
	// A group of its own, so that all of it can be ended; and none of it outlives this program.
	made.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	made.WaitDelay = outputGrace
	return made
}

func (c *container) start() error {
	command := append(append([]string{}, c.spec.Command...), c.spec.Args...)
	if len(c.spec.Command) == 0 {
		command = []string{"sleep", "infinity"}
	}
	c.command = c.process(command)
	c.started = time.Now()
	var err error
	switch {
	case c.spec.TTY:
		if c.terminal, err = startOnTerminal(c.command); err != nil {
			return err
		}
		c.stdin = c.terminal
		go func() { _, _ = io.Copy(stream{c, "stdout"}, c.terminal) }()
	default:
		if c.spec.Stdin {
			if c.stdin, err = c.command.StdinPipe(); err != nil {
				return err
			}
		}
		c.command.Stdout, c.command.Stderr = stream{c, "stdout"}, stream{c, "stderr"}
		if err = c.command.Start(); err != nil {
			return err
		}
	}
	go func() {
		c.code = exitCode(c.command.Wait())
		c.finished = time.Now()
		c.flush()
		close(c.done)
	}()
	return nil
}

// stop ends the process as its pod's deletion asks.
func (c *container) stop(grace time.Duration) {
	_ = syscall.Kill(-c.command.Process.Pid, syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(grace):
	}
	_ = syscall.Kill(-c.command.Process.Pid, syscall.SIGKILL)
	<-c.done
}

// stream takes one output of the container: for its log and for all who are attached.
type stream struct {
	container *container
	name      string
}

func (s stream) Write(data []byte) (int, error) {
	c := s.container
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for writer, name := range c.attached {
		if name == s.name {
			if _, err := writer.Write(data); err != nil {
				delete(c.attached, writer)
			}
		}
	}
	rest := append(c.partial[s.name], data...)
	for {
		end := 0
		for end < len(rest) && rest[end] != '\n' {
			end++
		}
		if end == len(rest) {
			break
		}
		c.line(s.name, "F", rest[:end])
		rest = rest[end+1:]
	}
	c.partial[s.name] = append([]byte{}, rest...)
	return len(data), nil
}

func (c *container) line(name, tag string, text []byte) {
	fmt.Fprintf(c.log, "%s %s %s %s\n", time.Now().Format(time.RFC3339Nano), name, tag, text)
}

func (c *container) flush() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for name, rest := range c.partial {
		if len(rest) > 0 {
			c.line(name, "P", rest)
		}
	}
}

// Exec runs one more process beside the container's own.
func (p *pods) Exec(_ context.Context, id string, command []string, in io.Reader, out, errorOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	found := p.byID(id)
	if found == nil || found.ended() {
		return fmt.Errorf("container %q does not run", id)
	}
	process := found.process(command)
	if tty {
		return execOnTerminal(process, in, out, resize)
	}
	if in != nil {
		// Not process.Stdin: the end of the process would wait for the end of the input.
		pipe, err := process.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(pipe, in)
			_ = pipe.Close()
		}()
	}
	// An interface that holds a nil pointer is not nil.
	if out != nil {
		process.Stdout = out
	}
	if errorOut != nil {
		process.Stderr = errorOut
	}
	if err := process.Start(); err != nil {
		// What a container engine says.
		return exec.CodeExitError{Err: fmt.Errorf("exec failed: %w", err), Code: 127}
	}
	return ended(process.Wait())
}

func execOnTerminal(process *osexec.Cmd, in io.Reader, out io.Writer, resize <-chan remotecommand.TerminalSize) error {
	terminal, err := startOnTerminal(process)
	if err != nil {
		return exec.CodeExitError{Err: fmt.Errorf("exec failed: %w", err), Code: 127}
	}
	defer terminal.Close()
	go setSizes(terminal, resize)
	if in != nil {
		go func() { _, _ = io.Copy(terminal, in) }()
	}
	copied := make(chan struct{})
	go func() {
		_, _ = io.Copy(out, terminal)
		close(copied)
	}()
	err = process.Wait()
	select {
	case <-copied:
	case <-time.After(outputGrace):
	}
	return ended(err)
}

// Attach joins the container's own process, until it ends.
func (p *pods) Attach(_ context.Context, id string, in io.Reader, out, errorOut io.WriteCloser, _ bool, resize <-chan remotecommand.TerminalSize) error {
	found := p.byID(id)
	if found == nil || found.ended() {
		return fmt.Errorf("container %q does not run", id)
	}
	found.mutex.Lock()
	if out != nil {
		found.attached[out] = "stdout"
	}
	if errorOut != nil {
		found.attached[errorOut] = "stderr"
	}
	found.mutex.Unlock()
	if found.terminal != nil {
		go setSizes(found.terminal, resize)
	}
	gone := make(chan struct{})
	if in != nil && found.stdin != nil {
		go func() {
			_, _ = io.Copy(found.stdin, in)
			if found.spec.StdinOnce && found.terminal == nil {
				_ = found.stdin.Close()
			}
		}()
	}
	select {
	case <-found.done:
	case <-gone:
	}
	found.mutex.Lock()
	defer found.mutex.Unlock()
	delete(found.attached, out)
	delete(found.attached, errorOut)
	return nil
}

// PortForward connects to a port of this machine, which all pods share.
func (p *pods) PortForward(ctx context.Context, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	defer connection.Close()
	answered := make(chan error, 1)
	go func() {
		_, err := io.Copy(stream, connection)
		answered <- err
	}()
	_, err = io.Copy(connection, stream)
	if err != nil {
		return err
	}
	_ = connection.(*net.TCPConn).CloseWrite()
	return <-answered
}

// ended tells the exit code as the streaming server wants it.
func ended(err error) error {
	if code := exitCode(err); code != 0 {
		return exec.CodeExitError{Err: fmt.Errorf("exit status %d", code), Code: code}
	}
	return nil
}

func exitCode(err error) int {
	var exit *osexec.ExitError
	switch {
	case err == nil, errors.Is(err, osexec.ErrWaitDelay):
		return 0
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal())
		}
		return exit.ExitCode()
	default:
		return 1
	}
}

// startOnTerminal starts the process with a new pseudo-terminal, whose other end it gives (pty(7)).
func startOnTerminal(process *osexec.Cmd) (*os.File, error) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	number, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0)
	}
	var inside *os.File
	if err == nil {
		inside, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		_ = terminal.Close()
		return nil, err
	}
	defer inside.Close()
	process.Stdin, process.Stdout, process.Stderr = inside, inside, inside
	process.Env = append(process.Env, "TERM=xterm")
	process.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := process.Start(); err != nil {
		_ = terminal.Close()
		return nil, err
	}
	return terminal, nil
}

func setSizes(terminal *os.File, sizes <-chan remotecommand.TerminalSize) {
	for size := range sizes {
		_ = unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Height, Col: size.Width})
	}
}
