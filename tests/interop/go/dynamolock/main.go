// The other side of `make interop GO=1`: cirello-io/dynamolock.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"cirello.io/dynamolock/v5"

	"interop/contender"
)

type side struct {
	client  *dynamolock.Client
	key     string
	options []dynamolock.AcquireLockOption
	lock    *dynamolock.Lock
}

func (s *side) acquire(options ...dynamolock.AcquireLockOption) (err error) {
	options = append(options, s.options...)
	s.lock, err = s.client.AcquireLock(context.Background(), s.key, options...)
	return err
}

func (s *side) Acquire() error {
	return s.acquire(dynamolock.WithAdditionalTimeToWaitForLock(time.Minute))
}

func (s *side) TryOnce() (bool, error) {
	err := s.acquire(dynamolock.FailIfLocked())
	if errors.As(err, new(*dynamolock.LockNotGrantedError)) {
		return false, nil
	}
	return err == nil, err
}

func (s *side) IsHeld() bool { return !s.lock.IsExpired() }

func (s *side) Release() error {
	_, err := s.client.ReleaseLock(context.Background(), s.lock)
	return err
}

func (s *side) Look() (string, error) {
	lock, err := s.client.Get(context.Background(), s.key)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(lock.OwnerName()), nil
}

func main() {
	values := contender.Values()
	milliseconds, _ := strconv.Atoi(values["lease"])
	lease := time.Duration(milliseconds) * time.Millisecond
	client, err := dynamolock.New(contender.Client(values["endpoint"]), values["table"],
		dynamolock.WithOwnerName(values["owner"]),
		dynamolock.WithLeaseDuration(lease),
		dynamolock.WithHeartbeatPeriod(lease/4))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	options := []dynamolock.AcquireLockOption{
		dynamolock.WithRefreshPeriod(contender.Poll),
		dynamolock.WithData([]byte(values["data"])),
	}
	contender.Run(&side{client: client, key: values["key"], options: options}, values)
}
