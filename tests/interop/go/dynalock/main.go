// The other side of `make interop GO=1`: kmdeveloping/dynalock.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/kmdeveloping/dynalock"

	"interop/contender"
)

type side struct {
	client *dynalock.Client
	key    string
	data   []byte
}

// TryOnce takes every error for "in use": the library has no other way to say it.
func (s *side) TryOnce() (bool, error) {
	_, err := s.client.AcquireLock(context.Background(), s.key, dynalock.WithData(s.data))
	return err == nil, nil
}

func (s *side) Acquire() error {
	for {
		if granted, _ := s.TryOnce(); granted {
			return nil
		}
		time.Sleep(contender.Poll)
	}
}

func (s *side) IsHeld() bool { return true } // it never asks

func (s *side) Release() error {
	_, err := s.client.ReleaseLock(context.Background(), s.key)
	return err
}

func (s *side) Look() (string, error) {
	lock, err := s.client.GetLock(context.Background(), s.key)
	if err != nil || lock == nil {
		return "absent", err
	}
	state := "locked"
	if lock.IsReleased {
		state = "released"
	}
	return fmt.Sprintf("%s owner=%s data=%s", state, lock.Owner, lock.Data), nil
}

func main() {
	values := contender.Values()
	log.SetOutput(io.Discard)
	client := dynalock.NewDynalockClient(contender.Client(values["endpoint"]), values["table"],
		dynalock.WithLockOwnerName(values["owner"]))
	contender.Run(&side{client: client, key: values["key"], data: []byte(values["data"])}, values)
}
