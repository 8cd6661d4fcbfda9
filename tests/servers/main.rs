//! `gpu-doctor run --server URL` against servers of many kinds, most of them real: with nothing but the URL a request is
//! built that they accept, and of a client's request that they reject it is said what is wrong with it.

mod asked;
mod bentoml;
mod contract;
mod contracts;
mod fastapi;
mod flask;
mod gradio;
mod hugging_face;
mod litserve;
mod llama;
mod mlserver;
mod ollama;
mod ray_serve;
#[path = "../setup/recorded_server.rs"]
mod recorded_server;
#[path = "../setup/scripted_server.rs"]
mod scripted_server;
#[path = "../setup/mod.rs"]
mod setup;
mod speech;
mod tf_serving;
mod torchserve;
mod triton;
mod vllm;
mod websocket;
mod whisper;
