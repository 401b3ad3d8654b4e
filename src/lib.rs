//! glassbox: a terminal chat with a local transformer in which every word can be opened.

pub mod app;
pub mod chat;
pub mod cli;
pub mod command;
pub mod config;
pub mod engine;
pub mod inspect;
pub mod model_entry;
pub mod models;
pub mod runtime;
pub mod sampling;
pub mod sanitize;
pub mod store;
pub mod theme;
pub mod token;
pub mod ui;
