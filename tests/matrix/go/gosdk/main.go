// Server and client of the matrix on the official Go SDK: `gosdk serve [PORT]`, `gosdk client TARGETS ACTIONS`.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"example.invalid/matrix/script"
)

type sum struct {
	A int `json:"a"`
	B int `json:"b"`
}

type message struct {
	Message string `json:"message"`
}

type steps struct {
	Steps int `json:"steps"`
}

func text(words string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: words}}}
}

func server() *mcp.Server {
	server := mcp.NewServer(
		&mcp.Implementation{Name: "matrix", Version: "1.0.0"},
		&mcp.ServerOptions{Instructions: "A server of the matrix."},
	)
	mcp.AddTool(server, &mcp.Tool{Name: "add", Description: "The sum of two numbers."},
		func(_ context.Context, _ *mcp.CallToolRequest, in sum) (*mcp.CallToolResult, any, error) {
			return text(fmt.Sprint(in.A + in.B)), nil, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "echo", Description: "The message."},
		func(_ context.Context, _ *mcp.CallToolRequest, in message) (*mcp.CallToolResult, any, error) {
			return text(in.Message), nil, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "fail", Description: "Fails."},
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return nil, nil, errors.New("as asked")
		})
	mcp.AddTool(server, &mcp.Tool{Name: "count", Description: "Reports its progress so many times."},
		func(ctx context.Context, req *mcp.CallToolRequest, in steps) (*mcp.CallToolResult, any, error) {
			token := req.Params.GetProgressToken()
			for step := 1; step <= in.Steps && token != nil; step++ {
				update := &mcp.ProgressNotificationParams{ProgressToken: token, Progress: float64(step), Total: float64(in.Steps)}
				if err := req.Session.NotifyProgress(ctx, update); err != nil {
					return nil, nil, err
				}
				time.Sleep(script.Pause)
			}
			return text(fmt.Sprint(in.Steps)), nil, nil
		})
	server.AddResource(&mcp.Resource{URI: "matrix://text", Name: "text", MIMEType: "text/plain"},
		func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			contents := []*mcp.ResourceContents{{URI: req.Params.URI, MIMEType: "text/plain", Text: "a text, äöü €"}}
			return &mcp.ReadResourceResult{Contents: contents}, nil
		})
	server.AddPrompt(&mcp.Prompt{Name: "greeting", Arguments: []*mcp.PromptArgument{{Name: "who", Required: true}}},
		func(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			words := &mcp.TextContent{Text: "Greet " + req.Params.Arguments["who"] + "."}
			return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: words}}}, nil
		})
	return server
}

func serve() error {
	server := server()
	if len(os.Args) < 3 {
		return server.Run(context.Background(), &mcp.StdioTransport{})
	}
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	return http.ListenAndServe("127.0.0.1:"+os.Args[2], handler)
}

type client struct {
	session  *mcp.ClientSession
	progress atomic.Value // a func(any): who is told of progress now
}

func (c *client) Connect(ctx context.Context, url string, command []string) (any, error) {
	options := &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
			c.progress.Load().(func(any))(map[string]any{"progress": req.Params.Progress, "total": req.Params.Total})
		},
	}
	c.progress.Store(func(any) {})
	var transport mcp.Transport = &mcp.StreamableClientTransport{Endpoint: url}
	if url == "" {
		transport = &mcp.CommandTransport{Command: exec.Command(command[0], command[1:]...)}
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "mcppool-matrix", Version: "1"}, options).Connect(ctx, transport, nil)
	if err != nil {
		return nil, err
	}
	c.session = session
	return session.InitializeResult(), nil
}

func (c *client) List(ctx context.Context, what string) (any, error) {
	switch what {
	case "tools":
		return c.session.ListTools(ctx, nil)
	case "prompts":
		return c.session.ListPrompts(ctx, nil)
	default:
		return c.session.ListResources(ctx, nil)
	}
}

func (c *client) Call(ctx context.Context, tool string, arguments map[string]any, progress func(any)) (any, error) {
	c.progress.Store(progress)
	params := &mcp.CallToolParams{Name: tool, Arguments: arguments, Meta: mcp.Meta{}}
	params.SetProgressToken(fmt.Sprintf("progress of %s", tool))
	return c.session.CallTool(ctx, params)
}

func (c *client) Read(ctx context.Context, uri string) (any, error) {
	return c.session.ReadResource(ctx, &mcp.ReadResourceParams{URI: uri})
}

func (c *client) Prompt(ctx context.Context, name string, arguments map[string]string) (any, error) {
	return c.session.GetPrompt(ctx, &mcp.GetPromptParams{Name: name, Arguments: arguments})
}

func (c *client) Close() error { return c.session.Close() }

func main() {
	run := serve
	if os.Args[1] == "client" {
		run = func() error { return script.Run(func() script.Client { return &client{} }) }
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
