// Command grpcclient runs cases of gRPC's interoperability test against a
// server, by google.golang.org/grpc/interop, whose functions end the program
// when an answer is not as it should be.
//
//	grpcclient ADDRESS
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
)

var cases = []struct {
	name string
	do   func(context.Context, pb.TestServiceClient, ...grpc.CallOption)
}{
	{"empty unary", interop.DoEmptyUnaryCall},
	{"large unary", interop.DoLargeUnaryCall},
	{"client streaming", interop.DoClientStreaming},
	{"server streaming", interop.DoServerStreaming},
	{"ping pong", interop.DoPingPong},
	{"empty stream", interop.DoEmptyStream},
	{"timeout on a sleeping server", interop.DoTimeoutOnSleepingServer},
	{"cancel after begin", interop.DoCancelAfterBegin},
	{"cancel after first response", interop.DoCancelAfterFirstResponse},
	{"custom metadata", interop.DoCustomMetadata},
	{"status code and message", interop.DoStatusCodeAndMessage},
	{"special status message", interop.DoSpecialStatusMessage},
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "grpcclient:", err)
		os.Exit(1)
	}
}

func run(addr string) error {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	service := pb.NewTestServiceClient(conn)
	for _, c := range cases {
		begin := time.Now()
		c.do(ctx, service, grpc.WaitForReady(true))
		fmt.Printf("%s: %v\n", c.name, time.Since(begin).Round(100*time.Microsecond))
	}
	begin := time.Now()
	const calls = 500
	for range calls {
		interop.DoEmptyUnaryCall(ctx, service)
	}
	fmt.Printf("%d calls, one after the other: %v\n", calls, time.Since(begin).Round(time.Millisecond))
	return nil
}
