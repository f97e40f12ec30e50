// Package contender is what the Go sides of `make interop GO=1` have in common: the modes of
// device.c.
package contender

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// Poll is how often a waiter looks.
const Poll = 20 * time.Millisecond

// Side is one of the libraries.
type Side interface {
	Acquire() error
	TryOnce() (bool, error)
	IsHeld() bool
	Release() error
	Look() (string, error)
}

// Values are the words name=value of the command line.
func Values() map[string]string {
	values := map[string]string{}
	for _, word := range os.Args[2:] {
		name, value, _ := strings.Cut(word, "=")
		values[name] = value
	}
	return values
}

// Client talks to the server of the test.
func Client(endpoint string) *dynamodb.Client {
	credentials := func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{
			AccessKeyID:     os.Getenv("AWS_ACCESS_KEY_ID"),
			SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		}, nil
	}
	return dynamodb.New(dynamodb.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(endpoint),
		Credentials:  aws.CredentialsProviderFunc(credentials),
	})
}

func work(side Side, values map[string]string) error {
	witness, err := net.Dial("tcp", "127.0.0.1:"+values["witness"])
	if err != nil {
		return err
	}
	answers := bufio.NewReader(witness)
	fmt.Fprintf(witness, "%s %d\n", values["name"], os.Getpid())
	for answer := ""; answer != "stop\n"; time.Sleep(60 * time.Millisecond) {
		if err := side.Acquire(); err != nil {
			return err
		}
		var counter, milliseconds int
		fmt.Fprintln(witness, "enter 0")
		if _, err := fmt.Fscanln(answers, &counter, &milliseconds); err != nil {
			return err
		}
		time.Sleep(time.Duration(milliseconds) * time.Millisecond)
		if side.IsHeld() {
			fmt.Fprintf(witness, "leave %d\n", counter+1)
		} else {
			fmt.Fprintln(witness, "lost 0")
		}
		answer, err = answers.ReadString('\n')
		if err != nil {
			return err
		}
		if err := side.Release(); err != nil {
			return err
		}
	}
	return nil
}

func hold(side Side) error {
	if err := side.Acquire(); err != nil {
		return err
	}
	fmt.Println("held 0")
	bufio.NewReader(os.Stdin).ReadString('\n')
	if err := side.Release(); err != nil {
		return err
	}
	fmt.Println("released")
	return nil
}

func tryOnce(side Side) error {
	granted, err := side.TryOnce()
	if err != nil {
		return err
	}
	if !granted {
		fmt.Println("busy")
		return nil
	}
	fmt.Println("held 0")
	return side.Release()
}

func look(side Side) error {
	line, err := side.Look()
	fmt.Println(line)
	return err
}

// Run does what the command line says.
func Run(side Side, values map[string]string) {
	modes := map[string]func() error{
		"work": func() error { return work(side, values) },
		"hold": func() error { return hold(side) },
		"try":  func() error { return tryOnce(side) },
		"look": func() error { return look(side) },
	}
	if err := modes[os.Args[1]](); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
