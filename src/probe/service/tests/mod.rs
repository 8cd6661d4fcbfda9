mod complaint;
mod curl;
mod schema;
mod window;
