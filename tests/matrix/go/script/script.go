// Package script carries out the actions of the matrix with a client, and says what came of each: see ../../programs/client.py.
package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Limit is for one action.
const Limit = 60 * time.Second

// Pause goes after each progress notification, so that each is a write of its own.
const Pause = 50 * time.Millisecond

// Late is how long a call waits for its last progress after its result: the SDKs handle notifications beside answers.
const Late = 2 * time.Second

// Client is one connection of an SDK. Connect is called first, with a URL or a command.
type Client interface {
	Connect(ctx context.Context, url string, command []string) (any, error)
	List(ctx context.Context, what string) (any, error)
	Call(ctx context.Context, tool string, arguments map[string]any, progress func(any)) (any, error)
	Read(ctx context.Context, uri string) (any, error)
	Prompt(ctx context.Context, name string, arguments map[string]string) (any, error)
	Close() error
}

// nobody is the client of a connection that failed.
type nobody struct{ Client }

func (nobody) List(context.Context, string) (any, error) { return nil, errNobody }
func (nobody) Call(context.Context, string, map[string]any, func(any)) (any, error) {
	return nil, errNobody
}
func (nobody) Read(context.Context, string) (any, error)                      { return nil, errNobody }
func (nobody) Prompt(context.Context, string, map[string]string) (any, error) { return nil, errNobody }
func (nobody) Close() error                                                   { return nil }

var errNobody = errors.New("not connected")

// Run carries out the actions at each target, as the program's arguments after `client` say.
func Run(fresh func() Client) error {
	var targets []any
	var actions [][]any
	if err := errors.Join(json.Unmarshal([]byte(os.Args[2]), &targets), json.Unmarshal([]byte(os.Args[3]), &actions)); err != nil {
		return err
	}
	output := json.NewEncoder(os.Stdout)
	for index, target := range targets {
		var client Client
		for _, action := range actions {
			if action[0] == "connect" {
				client = fresh()
			}
			line := act(client, target, action)
			if action[0] == "connect" && line["error"] != nil {
				client = nobody{}
			}
			line["target"] = index
			if err := output.Encode(line); err != nil {
				return err
			}
		}
	}
	return nil
}

func act(client Client, target any, action []any) map[string]any {
	ctx := context.Background()
	if action[0] != "connect" { // a context that ends would end the connection
		limited, cancel := context.WithTimeout(ctx, Limit)
		defer cancel()
		ctx = limited
	}
	var lock sync.Mutex
	progress := []any{}
	result, err := step(ctx, client, target, action, func(update any) {
		lock.Lock()
		defer lock.Unlock()
		progress = append(progress, update)
	})
	seen := func() int {
		lock.Lock()
		defer lock.Unlock()
		return len(progress)
	}
	for end := time.Now().Add(Late); err == nil && seen() < steps(action) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	lock.Lock()
	defer lock.Unlock()
	line := map[string]any{"result": result}
	if err != nil {
		line = map[string]any{"error": err.Error()}
	}
	if len(progress) > 0 {
		line["progress"] = progress
	}
	return line
}

// steps is how often an action reports its progress, as its arguments say.
func steps(action []any) int {
	if action[0] != "call" {
		return 0
	}
	arguments, _ := action[2].(map[string]any)
	count, _ := arguments["steps"].(float64)
	return int(count)
}

func step(ctx context.Context, client Client, target any, action []any, progress func(any)) (any, error) {
	text := func(index int) string { return fmt.Sprint(action[index]) }
	switch action[0] {
	case "connect":
		url, _ := target.(string)
		words, _ := target.([]any)
		command := make([]string, len(words))
		for index, word := range words {
			command[index] = fmt.Sprint(word)
		}
		return client.Connect(ctx, url, command)
	case "call":
		arguments, _ := action[2].(map[string]any)
		return client.Call(ctx, text(1), arguments, progress)
	case "read":
		return client.Read(ctx, text(1))
	case "prompt":
		arguments := map[string]string{}
		for key, value := range action[2].(map[string]any) {
			arguments[key] = fmt.Sprint(value)
		}
		return client.Prompt(ctx, text(1), arguments)
	case "close":
		return "closed", client.Close()
	default:
		return client.List(ctx, text(0))
	}
}
