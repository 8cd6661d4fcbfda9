//! Messages of KServe v2 over gRPC and of gRPC's health check, as far as the doctor speaks them; what they leave out is
//! skipped when read. Names and numbers of the fields are those of the published definitions:
//! <https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/open_inference_grpc.proto>,
//! Triton's additions (repository index, model configuration) of
//! <https://github.com/triton-inference-server/common/tree/main/protobuf>, and
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>.

use prost::Message;

/// A model by its name: requests of ModelReady, ModelMetadata and ModelConfig; the empty version is the server's choice.
#[derive(Clone, PartialEq, Message)]
pub struct ModelName {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub version: String,
}

/// Answer of ServerLive (`live`), ServerReady and ModelReady (`ready`).
#[derive(Clone, PartialEq, Message)]
pub struct State {
    #[prost(bool, tag = "1")]
    pub holds: bool,
}

/// Answer of ServerMetadata.
#[derive(Clone, PartialEq, Message)]
pub struct ServerMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(string, repeated, tag = "3")]
    pub extensions: Vec<String>,
}

/// A tensor without its values, in the model's metadata and, with the same numbers, in requests and answers.
#[derive(Clone, PartialEq, Message)]
pub struct TensorHead {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
    /// Values by type. Only in requests and answers, and only if they are not sent raw.
    #[prost(message, optional, tag = "5")]
    pub contents: Option<Contents>,
}

/// Answer of ModelMetadata.
#[derive(Clone, PartialEq, Message)]
pub struct ModelMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub platform: String,
    #[prost(message, repeated, tag = "4")]
    pub inputs: Vec<TensorHead>,
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<TensorHead>,
}

/// Answer of ModelConfig.
#[derive(Clone, PartialEq, Message)]
pub struct ModelConfigAnswer {
    #[prost(message, optional, tag = "1")]
    pub config: Option<ModelConfig>,
}

/// Of a model's configuration what its request depends on.
#[derive(Clone, PartialEq, Message)]
pub struct ModelConfig {
    #[prost(int32, tag = "4")]
    pub max_batch_size: i32,
    #[prost(message, repeated, tag = "5")]
    pub input: Vec<ModelInput>,
}

/// An input in the configuration.
#[derive(Clone, PartialEq, Message)]
pub struct ModelInput {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bool, tag = "8")]
    pub optional: bool,
}

/// Answer of RepositoryIndex.
#[derive(Clone, PartialEq, Message)]
pub struct RepositoryIndex {
    #[prost(message, repeated, tag = "1")]
    pub models: Vec<IndexedModel>,
}

/// A model of the repository.
#[derive(Clone, PartialEq, Message)]
pub struct IndexedModel {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(string, tag = "3")]
    pub state: String,
    #[prost(string, tag = "4")]
    pub reason: String,
}

/// Request of ModelInfer.
#[derive(Clone, PartialEq, Message)]
pub struct InferRequest {
    #[prost(string, tag = "1")]
    pub model_name: String,
    #[prost(string, tag = "2")]
    pub model_version: String,
    #[prost(message, repeated, tag = "5")]
    pub inputs: Vec<TensorHead>,
    /// One for each input, in their order: values in row-major order, little-endian.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub raw_input_contents: Vec<Vec<u8>>,
}

/// Answer of ModelInfer.
#[derive(Clone, PartialEq, Message)]
pub struct InferResponse {
    #[prost(string, tag = "1")]
    pub model_name: String,
    #[prost(string, tag = "2")]
    pub model_version: String,
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<TensorHead>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub raw_output_contents: Vec<Vec<u8>>,
}

/// Values of a tensor by type.
#[derive(Clone, PartialEq, Message)]
pub struct Contents {
    #[prost(bool, repeated, tag = "1")]
    pub bool_contents: Vec<bool>,
    #[prost(int32, repeated, tag = "2")]
    pub int_contents: Vec<i32>,
    #[prost(int64, repeated, tag = "3")]
    pub int64_contents: Vec<i64>,
    #[prost(uint32, repeated, tag = "4")]
    pub uint_contents: Vec<u32>,
    #[prost(uint64, repeated, tag = "5")]
    pub uint64_contents: Vec<u64>,
    #[prost(float, repeated, tag = "6")]
    pub fp32_contents: Vec<f32>,
    #[prost(double, repeated, tag = "7")]
    pub fp64_contents: Vec<f64>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub bytes_contents: Vec<Vec<u8>>,
}

/// Answer of grpc.health.v1.Health/Check: 1 is serving, 2 is not, 3 an unknown service.
#[derive(Clone, PartialEq, Message)]
pub struct Health {
    #[prost(int32, tag = "1")]
    pub status: i32,
}
