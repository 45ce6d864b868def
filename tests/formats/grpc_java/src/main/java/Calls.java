import com.google.protobuf.StringValue;
import io.grpc.*;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.protobuf.services.BinaryLogs;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.net.InetSocketAddress;
import java.util.concurrent.TimeUnit;

/** Calls itself over the loopback and has grpc-java log every call in binary; it chooses the file itself, by java.io.tmpdir. */
public final class Calls {
  private static final MethodDescriptor<StringValue, StringValue> GET =
      method("Get", MethodDescriptor.MethodType.UNARY);
  private static final MethodDescriptor<StringValue, StringValue> CHAT =
      method("Chat", MethodDescriptor.MethodType.BIDI_STREAMING);

  private static MethodDescriptor<StringValue, StringValue> method(String name, MethodDescriptor.MethodType type) {
    return MethodDescriptor.<StringValue, StringValue>newBuilder()
        .setType(type)
        .setFullMethodName("shop.v1.Shop/" + name)
        .setRequestMarshaller(ProtoUtils.marshaller(StringValue.getDefaultInstance()))
        .setResponseMarshaller(ProtoUtils.marshaller(StringValue.getDefaultInstance()))
        .build();
  }

  private static StringValue reply(StringValue in) {
    return StringValue.of("reply to " + in.getValue());
  }

  private static void get(StringValue in, StreamObserver<StringValue> out) {
    if (in.getValue().equals("missing")) {
      out.onError(Status.NOT_FOUND.withDescription("not here: 100 %").asRuntimeException());
      return;
    }
    out.onNext(reply(in));
    out.onCompleted();
  }

  private static StreamObserver<StringValue> chat(StreamObserver<StringValue> out) {
    return new StreamObserver<>() {
      public void onNext(StringValue in) {
        out.onNext(reply(in));
      }

      public void onError(Throwable error) {}

      public void onCompleted() {
        out.onCompleted();
      }
    };
  }

  public static void main(String[] arguments) throws Exception {
    BinaryLog log = BinaryLogs.createBinaryLog();
    Server server =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0))
            .setBinaryLog(log)
            .addService(
                ServerServiceDefinition.builder("shop.v1.Shop")
                    .addMethod(GET, ServerCalls.asyncUnaryCall(Calls::get))
                    .addMethod(CHAT, ServerCalls.asyncBidiStreamingCall(Calls::chat))
                    .build())
            .build()
            .start();
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer fake");
    headers.put(Metadata.Key.of("x-tag", Metadata.ASCII_STRING_MARSHALLER), "one");
    headers.put(Metadata.Key.of("x-tag", Metadata.ASCII_STRING_MARSHALLER), "two");
    headers.put(Metadata.Key.of("x-raw-bin", Metadata.BINARY_BYTE_MARSHALLER), new byte[] {0, (byte) 0xfe});
    ManagedChannel channel =
        NettyChannelBuilder.forAddress("127.0.0.1", server.getPort())
            .usePlaintext()
            .overrideAuthority("shop.example")
            .setBinaryLog(log)
            .intercept(MetadataUtils.newAttachHeadersInterceptor(headers))
            .build();
    ClientCalls.blockingUnaryCall(channel, GET, CallOptions.DEFAULT, StringValue.of("a"));
    try {
      ClientCalls.blockingUnaryCall(channel, GET, CallOptions.DEFAULT, StringValue.of("missing"));
      throw new AssertionError("answered");
    } catch (StatusRuntimeException expected) {
      if (expected.getStatus().getCode() != Status.Code.NOT_FOUND) {
        throw expected;
      }
    }
    talk(channel, false, "one", "two");
    talk(channel, true, "then gone");
    channel.shutdown().awaitTermination(10, TimeUnit.SECONDS);
    server.shutdown().awaitTermination(10, TimeUnit.SECONDS);
    log.close();
  }

  private static void talk(Channel channel, boolean cancel, String... texts) throws Exception {
    var replies = new java.util.concurrent.LinkedBlockingQueue<Object>();
    ClientCall<StringValue, StringValue> call = channel.newCall(CHAT, CallOptions.DEFAULT);
    StreamObserver<StringValue> out =
        ClientCalls.asyncBidiStreamingCall(
            call,
            new StreamObserver<>() {
              public void onNext(StringValue reply) {
                replies.add(reply);
              }

              public void onError(Throwable error) {
                replies.add(error);
              }

              public void onCompleted() {
                replies.add("completed");
              }
            });
    for (String text : texts) {
      out.onNext(StringValue.of(text));
      replies.poll(10, TimeUnit.SECONDS);
    }
    if (cancel) {
      call.cancel("enough", null);
    } else {
      out.onCompleted();
    }
    replies.poll(10, TimeUnit.SECONDS);
  }
}
