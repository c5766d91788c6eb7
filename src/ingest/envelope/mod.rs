//! stub
use std::borrow::Cow; use crate::audit::event::Event;
#[derive(Clone, Copy, Debug, PartialEq, Eq)] pub enum Wrapper { Bare }
impl Wrapper { pub fn as_str(self) -> &'static str {"bare"} pub fn from_name(_:&str)->Option<Wrapper>{None} }
pub struct Item<'a> { pub event: Event<'a>, pub wrapper: Wrapper, pub wrapper_id: Option<Cow<'a,str>>, pub wrapper_time: Option<jiff::Timestamp> }
pub enum Outcome<'a> { Event(Item<'a>), Skipped(SkipReason), Unreadable(ReadError) }
#[derive(Clone,Copy)] pub enum SkipReason{X} impl SkipReason{pub fn as_str(self)->&'static str{"x"}}
#[derive(Debug,thiserror::Error)] pub enum ReadError{#[error("x")]X} impl ReadError{pub fn class(&self)->&'static str{"x"}}
pub fn read(record: &[u8], _forced: Option<Wrapper>, each: &mut dyn FnMut(u32, Outcome<'_>)) { if let Ok(event)=serde_json::from_slice(record) { each(0,Outcome::Event(Item{event,wrapper:Wrapper::Bare,wrapper_id:None,wrapper_time:None})) } else { each(0,Outcome::Unreadable(ReadError::X)) } }
pub fn field_at(_record: &[u8], _pointer: &str) -> Option<String> {None}
