//! gRPC's messages on an HTTP/2 stream (gRPC over HTTP2, "Requests" and "Responses"), with buffers that are given back.
//!
//! tonic's own keep, as long as a stream is open, what its longest message took: an Envoy's first request, some 100 KB with the list of its
//! extensions, and there are thousands of streams.

use std::marker::PhantomData;

use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use prost::Message;
use tokio_stream::Stream;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{BufferSettings, EncodeBody, SingleMessageCompressionOverride};
use tonic::codegen::http::header::CONTENT_TYPE;
use tonic::codegen::http::{HeaderValue, Response};
use tonic_prost::ProstCodec;

/// What a stream begins with for what it sends, in bytes.
const SMALL: usize = 256;
/// When as much waits to be sent, no more is encoded.
const ENOUGH: usize = 32 << 10;

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

/// A response of these messages.
pub(super) fn response<T>(
    messages: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> Response<Body>
where
    T: Message + Default + 'static,
{
    let encoder = ProstCodec::<T, T>::raw_encoder(BufferSettings::new(SMALL, ENOUGH));
    let whole = SingleMessageCompressionOverride::default();
    let body = EncodeBody::new_server(encoder, messages, None, whole, None);
    let mut response = Response::new(Body::new(body));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    response
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;
    use http_body::Frame;
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
        let encoded = request.encode_to_vec();
        let length = u32::try_from(encoded.len()).unwrap().to_be_bytes();
        [&[0], &length[..], &encoded].concat()
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
