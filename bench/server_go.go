// SPDX-License-Identifier: BSD-2-Clause

// server_go.go - Go's net as one would use it: a goroutine for each connection, and
// code that reads as if it blocked. The runtime parks it and polls in its place, on as
// many threads as there are processors.
//
// All whole frames that one Read brought are answered by one Write, straight from
// where bufio.Reader keeps them. A frame larger than that buffer is read into a slice
// of its own, which the connection keeps for the next one.
//
// Backpressure is the goroutine's own: who is held in Write does not Read.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

const (
	headLen  = 4
	tallyLen = 16
	frameMax = 16 << 20
	buffer   = 64 << 10
)

type peer struct {
	conn          net.Conn
	reader        *bufio.Reader
	large         []byte // a frame with its head, once one came
	frames, bytes uint64
}

var sink bool

func (p *peer) count(payload int) {
	p.frames++
	p.bytes += uint64(payload)
}

func (p *peer) answer(frames []byte) bool {
	if sink || len(frames) == 0 {
		return true
	}
	_, err := p.conn.Write(frames)
	return err == nil
}

// wholeFrames counts those at the beginning of bytes. It returns where they end, and
// the length of the one that follows: a head's as long as that has not come.
func (p *peer) wholeFrames(bytes []byte) (done, next int) {
	for len(bytes)-done >= headLen {
		next = headLen + int(binary.BigEndian.Uint32(bytes[done:]))
		if len(bytes)-done < next {
			return done, next
		}
		p.count(next - headLen)
		done += next
	}
	return done, headLen
}

// serveLarge serves one of which a part may be in the reader's buffer. Once that is
// empty, bufio reads into the slice itself.
func (p *peer) serveLarge(whole int) bool {
	if cap(p.large) < whole {
		p.large = make([]byte, whole)
	}
	frame := p.large[:whole]
	if _, err := io.ReadFull(p.reader, frame); err != nil {
		return false
	}
	p.count(whole - headLen)
	return p.answer(frame)
}

// serveFrames serves until the peer has ended, and tells whether it did so in peace.
func (p *peer) serveFrames() bool {
	for {
		bytes, _ := p.reader.Peek(p.reader.Buffered())
		done, next := p.wholeFrames(bytes)
		if next > headLen+frameMax || !p.answer(bytes[:done]) {
			return false
		}
		p.reader.Discard(done)
		if next > buffer {
			if !p.serveLarge(next) {
				return false
			}
		} else if _, err := p.reader.Peek(next); err != nil {
			return err == io.EOF
		}
	}
}

func (p *peer) tell() {
	var frame [headLen + tallyLen]byte

	binary.BigEndian.PutUint32(frame[:], tallyLen)
	binary.BigEndian.PutUint64(frame[headLen:], p.frames)
	binary.BigEndian.PutUint64(frame[headLen+8:], p.bytes)
	p.conn.Write(frame[:])
}

func serve(conn net.Conn) {
	p := peer{conn: conn, reader: bufio.NewReaderSize(conn, buffer)}

	if p.serveFrames() && sink {
		p.tell()
	}
	conn.Close()
}

func die(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func parse(args []string) (mode string, port uint64) {
	if len(args) >= 3 {
		mode = args[len(args)-2]
		port, err := strconv.ParseUint(args[len(args)-1], 10, 16)
		if err == nil && (mode == "echo" || mode == "sink") {
			return mode, port
		}
	}
	fmt.Fprintf(os.Stderr, "usage: %s echo|sink PORT\n", args[0])
	os.Exit(2)
	return
}

func main() {
	mode, port := parse(os.Args)
	sink = mode == "sink"
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		die(err)
	}
	fmt.Printf("listening on %d\n", listener.Addr().(*net.TCPAddr).Port)
	for {
		// net.Conn has TCP_NODELAY set unless one says otherwise.
		conn, err := listener.Accept()
		if err == nil {
			go serve(conn)
		}
	}
}
