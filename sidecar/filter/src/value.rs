//! Values of an event as CEL sees them: borrowed from the event, made when touched, iterated in one order everywhere.
//!
//! The map of the `cel` crate iterates in random order, which would make verdicts differ between locations; [`Object`] iterates by key.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer, Iterable, Iterator as CelIterator, Sizer};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelNull, CelString, CelTimestamp, CelUInt, MAP_TYPE, Type,
};
use cel::common::value::{CowVal, Val};
use serde_json::Value as Json;
use tidelog_model::{Cause, EventId, HybridTime, Origin, VectorTime};

use crate::budget::{self, Fault};
use crate::error::PayloadError;
use crate::limits::LIST_ITEMS_MAX;

type Boxed<'v> = Box<dyn Val + 'v>;

/// A value with named fields.
#[derive(Debug)]
pub(crate) struct Object<'v> {
    fields: Fields<'v>,
    /// The keys in order, made when it is iterated over: the iterator lends them from here.
    keys: OnceLock<Vec<CelString<'v>>>,
}

/// Where the fields come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fields<'v> {
    /// An object in the payload.
    Json(&'v serde_json::Map<String, Json>),
    /// The metadata.
    Text(&'v BTreeMap<String, String>),
    /// An event id.
    Id(&'v EventId),
    /// The time of writing.
    Time(HybridTime),
    /// The causal context.
    Context(&'v VectorTime),
    /// One entry of it.
    Entry(&'v Origin, u64),
    /// The cause; reads as zero values when there is none, as an unset message does.
    Cause(Option<&'v Cause>),
    /// The id of a cause that is not there.
    NoId,
}

impl<'v> Object<'v> {
    pub(crate) fn new(fields: Fields<'v>) -> Self {
        Self {
            fields,
            keys: OnceLock::new(),
        }
    }

    fn len(&self) -> usize {
        match self.fields {
            Fields::Json(map) => map.len(),
            Fields::Text(map) => map.len(),
            Fields::Id(_) | Fields::NoId | Fields::Cause(_) | Fields::Entry(..) => 3,
            Fields::Time(_) => 2,
            Fields::Context(_) => 1,
        }
    }

    fn is_map(&self) -> bool {
        matches!(self.fields, Fields::Json(_) | Fields::Text(_))
    }

    fn has(&self, key: &str) -> bool {
        match self.fields {
            Fields::Json(map) => map.contains_key(key),
            Fields::Text(map) => map.contains_key(key),
            _ => matches!(self.field(key), Ok(Some(_))),
        }
    }

    /// The value of a key, `None` without one.
    fn field(&self, key: &str) -> Result<Option<Boxed<'v>>, ExecutionError> {
        let value: Boxed<'v> = match (self.fields, key) {
            (Fields::Json(map), _) => match map.get(key) {
                Some(value) => json(value).map_err(|e| ExecutionError::function_error(key, e))?,
                None => return Ok(None),
            },
            (Fields::Text(map), _) => match map.get(key) {
                Some(value) => text(value)?,
                None => return Ok(None),
            },
            (Fields::Id(id), "location") => text(id.origin.location.as_str())?,
            (Fields::Id(id), "incarnation") => uint(u64::from(id.origin.incarnation.0)),
            (Fields::Id(id), "sequence") => uint(id.sequence),
            (Fields::Entry(origin, _), "location") => text(origin.location.as_str())?,
            (Fields::Entry(origin, _), "incarnation") => uint(u64::from(origin.incarnation.0)),
            (Fields::Entry(_, sequence), "sequence") => uint(sequence),
            (Fields::NoId, "location") | (Fields::Cause(None), "log") => text("")?,
            (Fields::NoId, "incarnation" | "sequence") | (Fields::Cause(None), "output_index") => {
                uint(0)
            }
            (Fields::Time(time), "physical") => timestamp(time.micros)?,
            (Fields::Time(time), "logical") => uint(u64::from(time.logical)),
            (Fields::Context(context), "entries") => {
                budget::spend(context.len() as u64)?;
                let entry = |(origin, sequence)| -> Boxed<'v> {
                    Box::new(Object::new(Fields::Entry(origin, sequence)))
                };
                Box::new(CelList::from(context.iter().map(entry).collect::<Vec<_>>()))
            }
            (Fields::Cause(Some(cause)), "log") => text(&cause.log)?,
            (Fields::Cause(Some(cause)), "id") => Box::new(Object::new(Fields::Id(&cause.id))),
            (Fields::Cause(None), "id") => Box::new(Object::new(Fields::NoId)),
            (Fields::Cause(Some(cause)), "output_index") => uint(u64::from(cause.output_index)),
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    fn keys(&self) -> &[CelString<'v>] {
        self.keys.get_or_init(|| {
            let mut keys: Vec<&'v str> = match self.fields {
                Fields::Json(map) => map.keys().map(String::as_str).collect(),
                Fields::Text(map) => map.keys().map(String::as_str).collect(),
                Fields::Id(_) | Fields::NoId | Fields::Entry(..) => {
                    vec!["location", "incarnation", "sequence"]
                }
                Fields::Cause(_) => vec!["log", "id", "output_index"],
                Fields::Time(_) => vec!["physical", "logical"],
                Fields::Context(_) => vec!["entries"],
            };
            // Sorted already, unless some other crate of the build turns on serde_json's `preserve_order`.
            keys.sort_unstable();
            keys.into_iter().map(CelString::from).collect()
        })
    }
}

impl Val for Object<'_> {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        self.is_map().then_some(self)
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        if self.len() > LIST_ITEMS_MAX {
            budget::fail(Fault::Keys(self.len()));
            return None;
        }
        if self.is_map() { Some(self) } else { None }
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        // The `cel` crate cannot hand back a borrowing value of a foreign type, so the other side is read through what every map can do.
        let (Some(indexer), Some(sizer)) = (other.as_indexer(), other.as_sizer()) else {
            return false;
        };
        *sizer.size().inner() == self.len() as i64
            && self.keys().iter().all(|key| {
                matches!((self.field(key.inner()), indexer.get(key)),
                    (Ok(Some(a)), Ok(b)) if a.equals(b.as_ref()))
            })
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(Object::new(self.fields))
    }
}

impl Indexer for Object<'_> {
    fn get<'b, 'w>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let Some(name) = key.downcast_ref::<CelString>() else {
            return Err(ExecutionError::no_such_overload(
                "_[_]",
                vec!["map".into(), key.get_type().name().into()],
            ));
        };
        budget::spend(1)?;
        match self.field(name.inner())? {
            Some(value) => Ok(CowVal::Owned(value)),
            None => Err(ExecutionError::NoSuchKey(Arc::new(name.inner().to_owned()))),
        }
    }

    fn steal<'w>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

impl Container for Object<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        budget::spend(1)?;
        Ok(key
            .downcast_ref::<CelString>()
            .is_some_and(|key| self.has(key.inner())))
    }
}

impl Sizer for Object<'_> {
    fn size(&self) -> CelInt {
        (self.len() as i64).into()
    }
}

impl Iterable for Object<'_> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn CelIterator<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        Box::new(Keys(self.keys().iter()))
    }
}

struct Keys<'b, 'v>(std::slice::Iter<'b, CelString<'v>>);

impl<'b, 'v: 'w, 'w> CelIterator<'b, 'w> for Keys<'b, 'v> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'w)> {
        let key = self.0.next()?;
        budget::spend(budget::steps_for(key.inner().len())).ok()?;
        Some(key)
    }
}

/// A text, borrowed.
pub(crate) fn text(value: &str) -> Result<Boxed<'_>, ExecutionError> {
    budget::spend(budget::steps_for(value.len()))?;
    Ok(Box::new(CelString::from(value)))
}

/// An unsigned number, as the fields of the wire are.
pub(crate) fn uint<'v>(value: u64) -> Boxed<'v> {
    Box::new(CelUInt::from(value))
}

/// A list of texts, borrowed.
pub(crate) fn texts(values: &[String]) -> Result<Boxed<'_>, ExecutionError> {
    let items = values
        .iter()
        .map(|v| text(v))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(CelList::from(items)))
}

/// A JSON value. Objects are looked into when touched; lists are made at once, so their length is checked here. Whole numbers are int
/// (uint above 2^63-1), others double.
pub(crate) fn json(value: &Json) -> Result<Boxed<'_>, PayloadError> {
    // A spent budget is noted on its own and ends the evaluation, whatever becomes of this value.
    let spent = budget::spend(match value {
        Json::String(s) => budget::steps_for(s.len()),
        Json::Array(items) => 1 + items.len() as u64,
        _ => 1,
    });
    if spent.is_err() {
        return Ok(Box::new(CelNull));
    }
    Ok(match value {
        Json::Null => Box::new(CelNull),
        Json::Bool(b) => Box::new(CelBool::from(*b)),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => Box::new(CelInt::from(i)),
            (None, Some(u)) => Box::new(CelUInt::from(u)),
            (None, None) => Box::new(CelDouble::from(n.as_f64().unwrap_or(f64::NAN))),
        },
        Json::String(s) => Box::new(CelString::from(s.as_str())),
        Json::Array(items) if items.len() > LIST_ITEMS_MAX => {
            return Err(PayloadError::ListTooLong {
                actual: items.len(),
            });
        }
        Json::Array(items) => Box::new(CelList::from(
            items.iter().map(json).collect::<Result<Vec<_>, _>>()?,
        )),
        Json::Object(map) => Box::new(Object::new(Fields::Json(map))),
    })
}

fn timestamp<'v>(micros: i64) -> Result<Boxed<'v>, ExecutionError> {
    // CEL's range of timestamps; chrono's is wider.
    const YEAR_1: i64 = -62_135_596_800_000_000;
    const YEAR_10000: i64 = 253_402_300_800_000_000;
    (YEAR_1..YEAR_10000)
        .contains(&micros)
        .then(|| chrono::DateTime::from_timestamp_micros(micros))
        .flatten()
        .map(|time| Box::new(CelTimestamp::from(time.fixed_offset())) as Boxed<'v>)
        .ok_or_else(|| {
            ExecutionError::function_error("timestamp", "event.time.physical is out of range")
        })
}
