//! gRPC's messages on an HTTP/2 stream (gRPC over HTTP2, "Requests" and "Responses"), with buffers that are given back.
//!
//! tonic's own keep, as long as a stream is open, what its longest message took, either way: an Envoy's first request, some 100 KB with the
//! list of its extensions, and a chain with its key in each response. There are thousands of streams.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Frame;
use http_body_util::BodyExt;
use prost::Message;
use tokio_stream::Stream;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::header::CONTENT_TYPE;
use tonic::codegen::http::{HeaderMap, HeaderValue, Response};

/// What is in front of each message, in bytes: whether it is compressed, and its length.
const HEAD: usize = 5;

/// The messages of a request's body.
pub(super) struct Requests<T> {
    body: Body,
    buffer: BytesMut,
    most: usize,
    message: PhantomData<fn() -> T>,
}

impl<T: Message + Default> Requests<T> {
    /// Takes messages of no more than `most` bytes.
    pub(super) fn new(body: Body, most: usize) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            most,
            message: PhantomData,
        }
    }

    /// The next message, if there is one more. What was read of it is kept if this is dropped before.
    pub(super) async fn message(&mut self) -> Result<Option<T>, Status> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(status)) => return Err(status),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(Status::invalid_argument("the last message is not whole")),
            }
        }
    }

    /// The message that the buffer begins with, if all of it is there. A buffer that is empty is given back.
    fn take(&mut self) -> Result<Option<T>, Status> {
        let Some(([compressed, length @ ..], rest)) = self.buffer.split_first_chunk::<5>() else {
            return Ok(None);
        };
        if *compressed != 0 {
            return Err(Status::unimplemented("messages are not taken compressed"));
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > self.most {
            let most = self.most;
            let long = format!("a message of {length} bytes; at most {most} are taken");
            return Err(Status::out_of_range(long));
        }
        let Some(encoded) = rest.get(..length) else {
            let missing = length - rest.len();
            self.buffer.reserve(missing);
            return Ok(None);
        };
        let message = T::decode(encoded);
        self.buffer.advance(5 + length);
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        let message = message.map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Some(message))
    }
}

/// A message as it is sent.
pub(super) fn framed(message: &impl Message) -> Result<Bytes, Status> {
    let length = message.encoded_len();
    let told = u32::try_from(length).map_err(|_| Status::internal("a message too long"))?;
    let mut bytes = BytesMut::with_capacity(HEAD + length);
    bytes.put_u8(0);
    bytes.put_u32(told);
    let encoded = message.encode(&mut bytes);
    encoded.map_err(|error| Status::internal(error.to_string()))?;
    Ok(bytes.freeze())
}

/// A response of these messages. A status ends it; without one it ends well.
pub(super) fn response(
    messages: impl Stream<Item = Result<Bytes, Status>> + Send + Unpin + 'static,
) -> Response<Body> {
    let mut response = Response::new(Body::new(Responses {
        messages,
        ended: false,
    }));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    response
}

/// The body of a response. Nothing is kept of a message once HTTP/2 has it.
struct Responses<S> {
    messages: S,
    ended: bool,
}

impl<S: Stream<Item = Result<Bytes, Status>> + Unpin> http_body::Body for Responses<S> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let status = match ready!(Pin::new(&mut self.messages).poll_next(cx)) {
            Some(Ok(message)) => return Poll::Ready(Some(Ok(Frame::data(message)))),
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        self.ended = true;
        let mut trailers = HeaderMap::new();
        let added = status.add_header(&mut trailers);
        Poll::Ready(Some(added.map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;
    use http_body_util::StreamBody;
    use http_body_util::combinators::BoxBody;
    use tonic::Code;

    use super::*;

    fn request(text: &str) -> DiscoveryRequest {
        DiscoveryRequest {
            version_info: text.to_owned(),
            ..DiscoveryRequest::default()
        }
    }

    fn framed(request: &DiscoveryRequest) -> Vec<u8> {
        super::framed(request).unwrap().to_vec()
    }

    fn requests(frames: Vec<Vec<u8>>) -> Requests<DiscoveryRequest> {
        let frames = frames.into_iter();
        let frames = frames.map(|frame| Ok::<_, Status>(Frame::data(Bytes::from(frame))));
        let body = StreamBody::new(tokio_stream::iter(frames.collect::<Vec<_>>()));
        Requests::new(Body::new(BoxBody::new(body)), 100_000)
    }

    #[tokio::test]
    async fn messages_come_whole_however_they_are_cut_and_nothing_is_kept() {
        let messages = [request(&"x".repeat(90_000)), request(""), request("y")];
        let bytes: Vec<u8> = messages.iter().flat_map(framed).collect();
        for size in [1, 3, 7, 16_384, 1_000_000] {
            let mut requests = requests(bytes.chunks(size).map(<[u8]>::to_vec).collect());
            for message in &messages {
                let found = requests.message().await.unwrap();
                assert_eq!(found.as_ref(), Some(message));
            }
            assert_eq!(requests.buffer.capacity(), 0, "a buffer was kept");
            assert_eq!(requests.message().await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_response_is_its_messages_and_a_status_that_ends_it() {
        for (end, code) in [(None, "0"), (Some(Status::unavailable("gone")), "14")] {
            let messages = [Ok(Bytes::from_static(b"one"))].into_iter();
            let after = [Err(Status::internal("too late"))].into_iter();
            let ended = end.is_some();
            let messages = messages.chain(end.map(Err)).chain(after.filter(|_| ended));
            let sent = response(tokio_stream::iter(messages.collect::<Vec<_>>()));
            let whole = sent.into_body().collect().await.unwrap();
            assert_eq!(whole.trailers().unwrap()["grpc-status"], code);
            assert_eq!(whole.to_bytes(), "one");
        }
    }

    #[tokio::test]
    async fn what_is_no_message_is_refused() {
        let compressed = vec![1, 0, 0, 0, 0];
        let long = [&[0][..], &100_001_u32.to_be_bytes()].concat();
        let cut = framed(&request("y"))[..6].to_vec();
        let garbage = vec![0, 0, 0, 0, 2, 0xff, 0xff];
        for (bytes, code) in [
            (compressed, Code::Unimplemented),
            (long, Code::OutOfRange),
            (cut, Code::InvalidArgument),
            (garbage, Code::InvalidArgument),
        ] {
            let fault = requests(vec![bytes]).message().await.unwrap_err();
            assert_eq!(fault.code(), code);
        }
    }
}
