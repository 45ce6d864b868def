// Calls itself over the loopback and has grpc-go log every call in binary.
package main

import (
	"context"
	"io"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/binarylog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func reply(text string) *wrapperspb.StringValue { return wrapperspb.String("reply to " + text) }

func unary(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.StringValue)
	if err := decode(in); err != nil {
		return nil, err
	}
	if in.Value == "missing" {
		return nil, status.Error(codes.NotFound, "not here: 100 %")
	}
	must(grpc.SetHeader(ctx, metadata.Pairs("x-pod", "a")))
	must(grpc.SetTrailer(ctx, metadata.Pairs("x-cost-bin", "\x00\xff")))
	return reply(in.Value), nil
}

func stream(_ any, call grpc.ServerStream) error {
	for {
		in := new(wrapperspb.StringValue)
		if err := call.RecvMsg(in); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := call.SendMsg(reply(in.Value)); err != nil {
			return err
		}
	}
}

var service = grpc.ServiceDesc{
	ServiceName: "shop.v1.Shop",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Get", Handler: unary}},
	Streams:     []grpc.StreamDesc{{StreamName: "Chat", Handler: stream, ServerStreams: true, ClientStreams: true}},
}

func main() {
	// It chooses the name itself: /tmp/grpcgo_binarylog_*.txt.
	sink, err := binarylog.NewTempFileSink()
	must(err)
	binarylog.SetSink(sink)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	server := grpc.NewServer()
	server.RegisterService(&service, nil)
	go func() { must(server.Serve(listener)) }()
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("shop.example"))
	must(err)
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer fake", "x-tag", "one", "x-tag", "two", "x-raw-bin", "\x00\xfe")
	out := new(wrapperspb.StringValue)
	must(connection.Invoke(ctx, "/shop.v1.Shop/Get", wrapperspb.String("a"), out))
	if err := connection.Invoke(ctx, "/shop.v1.Shop/Get", wrapperspb.String("missing"), out); status.Code(err) != codes.NotFound {
		log.Fatal(err)
	}
	chat, err := connection.NewStream(ctx, &service.Streams[0], "/shop.v1.Shop/Chat")
	must(err)
	for _, text := range []string{"one", "two"} {
		must(chat.SendMsg(wrapperspb.String(text)))
		must(chat.RecvMsg(out))
	}
	must(chat.CloseSend())
	if err := chat.RecvMsg(out); err != io.EOF {
		log.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	chat, err = connection.NewStream(cancelled, &service.Streams[0], "/shop.v1.Shop/Chat")
	must(err)
	must(chat.SendMsg(wrapperspb.String("then gone")))
	must(chat.RecvMsg(out))
	cancel()
	if err := chat.RecvMsg(out); status.Code(err) != codes.Canceled {
		log.Fatal(err)
	}
	must(connection.Close())
	server.GracefulStop()
	must(sink.Close())
}
