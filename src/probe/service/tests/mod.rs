mod complaint;
mod curl;
mod schema;
