// Command probe is what runs inside the pods of ci/network/check: it answers on
// TCP 8080, TCP 9090 and UDP 8080, and asks other pods.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// patience is long beside what a local connection takes, and short beside TCP's own.
const patience = time.Second

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "listen":
		go answerTCP(":9090")
		go answerUDP(":8080")
		answerTCP(":8080")
	case len(os.Args) == 4 && os.Args[1] == "ask":
		fmt.Println(ask(os.Args[2], os.Args[3]))
	case len(os.Args) == 3 && os.Args[1] == "resolve":
		fmt.Println(resolve(os.Args[2]))
	default:
		fmt.Println("usage: probe listen | ask tcp|udp ADDRESS | resolve NAME")
		os.Exit(2)
	}
}

func answerTCP(address string) {
	listener, err := net.Listen("tcp", address)
	for err == nil {
		var connection net.Conn
		if connection, err = listener.Accept(); err == nil {
			fmt.Fprint(connection, "hello")
			connection.Close()
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

func answerUDP(address string) {
	packets, err := net.ListenPacket("udp", address)
	question := make([]byte, 64)
	for err == nil {
		var from net.Addr
		if _, from, err = packets.ReadFrom(question); err == nil {
			_, err = packets.WriteTo([]byte("hello"), from)
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// ask says hello, timeout, or what else went wrong: a refused connection is no dropped one.
func ask(network, address string) string {
	connection, err := net.DialTimeout(network, address, patience)
	if err != nil {
		return describe(err)
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(patience))
	if network == "udp" {
		fmt.Fprint(connection, "?")
	}
	answer := make([]byte, 5)
	if _, err := io.ReadFull(connection, answer); err != nil {
		return describe(err)
	}
	return string(answer)
}

func resolve(name string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := net.DefaultResolver.LookupHost(ctx, name); err != nil {
		return describe(err)
	}
	return "found"
}

func describe(err error) string {
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return "timeout"
	}
	return err.Error()
}
