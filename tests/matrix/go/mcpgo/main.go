// Server and client of the matrix on mcp-go: `mcpgo serve [PORT]`, `mcpgo client TARGETS ACTIONS`.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync/atomic"
	"time"

	mcpclient "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"

	"example.invalid/matrix/script"
)

func build() *mcpserver.MCPServer {
	server := mcpserver.NewMCPServer("matrix", "1.0.0", mcpserver.WithInstructions("A server of the matrix."))
	add := mcp.NewTool("add", mcp.WithDescription("The sum of two numbers."),
		mcp.WithNumber("a", mcp.Required()), mcp.WithNumber("b", mcp.Required()))
	server.AddTool(add, func(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		a, err := req.RequireInt("a")
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		return mcp.NewToolResultText(fmt.Sprint(a + req.GetInt("b", 0))), nil
	})
	echo := mcp.NewTool("echo", mcp.WithDescription("The message."), mcp.WithString("message", mcp.Required()))
	server.AddTool(echo, func(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(req.GetString("message", "")), nil
	})
	fail := mcp.NewTool("fail", mcp.WithDescription("Fails."))
	server.AddTool(fail, func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return nil, errors.New("as asked")
	})
	count := mcp.NewTool("count", mcp.WithDescription("Reports its progress so many times."), mcp.WithNumber("steps", mcp.Required()))
	server.AddTool(count, func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		steps := req.GetInt("steps", 0)
		if meta := req.Params.Meta; meta != nil && meta.ProgressToken != nil {
			for step := 1; step <= steps; step++ {
				update := map[string]any{"progress": step, "total": steps, "progressToken": meta.ProgressToken}
				if err := mcpserver.ServerFromContext(ctx).SendNotificationToClient(ctx, "notifications/progress", update); err != nil {
					return nil, err
				}
				time.Sleep(script.Pause)
			}
		}
		return mcp.NewToolResultText(fmt.Sprint(steps)), nil
	})
	text := mcp.NewResource("matrix://text", "text", mcp.WithMIMEType("text/plain"))
	server.AddResource(text, func(_ context.Context, req mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		contents := mcp.TextResourceContents{URI: req.Params.URI, MIMEType: "text/plain", Text: "a text, äöü €"}
		return []mcp.ResourceContents{contents}, nil
	})
	greeting := mcp.NewPrompt("greeting", mcp.WithArgument("who", mcp.RequiredArgument()))
	server.AddPrompt(greeting, func(_ context.Context, req mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		words := mcp.NewTextContent("Greet " + req.Params.Arguments["who"] + ".")
		return mcp.NewGetPromptResult("A greeting.", []mcp.PromptMessage{mcp.NewPromptMessage(mcp.RoleUser, words)}), nil
	})
	return server
}

func serve() error {
	if len(os.Args) < 3 {
		return mcpserver.ServeStdio(build())
	}
	return mcpserver.NewStreamableHTTPServer(build()).Start("127.0.0.1:" + os.Args[2])
}

type client struct {
	it       *mcpclient.Client
	progress atomic.Value // a func(any): who is told of progress now
}

func (c *client) Connect(ctx context.Context, url string, command []string) (any, error) {
	var channel transport.Interface
	var err error
	if url == "" {
		channel = transport.NewStdio(command[0], nil, command[1:]...)
	} else if channel, err = transport.NewStreamableHTTP(url); err != nil {
		return nil, err
	}
	// By default the client waits 5 s for server/discover: on a busy machine a program in Python does not start in that time.
	c.it = mcpclient.NewClient(channel, mcpclient.WithDiscoverTimeout(script.Limit))
	if err := c.it.Start(ctx); err != nil {
		return nil, err
	}
	c.progress.Store(func(any) {})
	c.it.OnNotification(func(notification mcp.JSONRPCNotification) {
		if notification.Method == "notifications/progress" {
			c.progress.Load().(func(any))(notification.Params.AdditionalFields)
		}
	})
	request := mcp.InitializeRequest{}
	request.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
	request.Params.ClientInfo = mcp.Implementation{Name: "mcppool-matrix", Version: "1"}
	return c.it.Initialize(ctx, request)
}

func (c *client) List(ctx context.Context, what string) (any, error) {
	switch what {
	case "tools":
		return c.it.ListTools(ctx, mcp.ListToolsRequest{})
	case "prompts":
		return c.it.ListPrompts(ctx, mcp.ListPromptsRequest{})
	default:
		return c.it.ListResources(ctx, mcp.ListResourcesRequest{})
	}
}

func (c *client) Call(ctx context.Context, tool string, arguments map[string]any, progress func(any)) (any, error) {
	c.progress.Store(progress)
	request := mcp.CallToolRequest{}
	request.Params.Name = tool
	request.Params.Arguments = arguments
	request.Params.Meta = &mcp.Meta{ProgressToken: "progress of " + tool}
	return c.it.CallTool(ctx, request)
}

func (c *client) Read(ctx context.Context, uri string) (any, error) {
	request := mcp.ReadResourceRequest{}
	request.Params.URI = uri
	return c.it.ReadResource(ctx, request)
}

func (c *client) Prompt(ctx context.Context, name string, arguments map[string]string) (any, error) {
	request := mcp.GetPromptRequest{}
	request.Params.Name = name
	request.Params.Arguments = arguments
	return c.it.GetPrompt(ctx, request)
}

func (c *client) Close() error { return c.it.Close() }

func main() {
	run := serve
	if os.Args[1] == "client" {
		run = func() error { return script.Run(func() script.Client { return &client{} }) }
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
