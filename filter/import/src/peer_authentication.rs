//! `PeerAuthentication` read as modes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    document::{Mode, Mtls},
    problem::{Place, Problem, Warning},
    resource::Resource,
    scope::Level,
};

/// The modes of every resource that holds.
#[derive(Debug, Default)]
pub(crate) struct Modes {
    by_level: BTreeMap<Level, Mode>,
    by_port: BTreeMap<u16, Mode>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) problems: Vec<Problem>,
}

impl Modes {
    pub(crate) fn resource(&mut self, level: Level, resource: &Resource) {
        let place = &resource.place;
        for (field, raw) in &resource.spec {
            let place = place.at(&format!("spec.{field}"));
            match field.as_str() {
                "selector" | "targetRef" | "targetRefs" => {}
                "mtls" => self.whole(level, &place, raw),
                "portLevelMtls" => self.ports(level, &place, raw),
                _ => self.warn(&place, "has no counterpart and is left out".to_owned()),
            }
        }
    }

    /// The mode for every port without its own: the nearest that is set, and `PERMISSIVE` if none is.
    pub(crate) fn mode(&self) -> Mode {
        let nearest = self.by_level.iter().next_back();
        nearest.map_or(Mode::Permissive, |(_, mode)| *mode)
    }

    pub(crate) fn port_modes(&self) -> BTreeMap<u16, Mtls> {
        let modes = self.by_port.iter();
        modes
            .map(|(port, mode)| (*port, Mtls { mode: *mode }))
            .collect()
    }

    fn whole(&mut self, level: Level, place: &Place, raw: &Value) {
        let Some(mode) = self.read(place, raw) else {
            return;
        };
        let known = self.by_level.get(&level).copied();
        let kept = self.stricter(place, known, mode);
        self.by_level.insert(level, kept);
    }

    fn ports(&mut self, level: Level, place: &Place, raw: &Value) {
        let ports = match raw {
            Value::Null => return,
            Value::Object(ports) => ports,
            _ => {
                return self
                    .problems
                    .push(Problem::new(place, "this is not a mapping of ports"));
            }
        };
        if level != Level::Workload {
            return self.warn(
                place,
                "holds only with a selector, as in Istio, and is left out".to_owned(),
            );
        }
        self.each_port(place, ports);
    }

    fn each_port(&mut self, place: &Place, ports: &Map<String, Value>) {
        for (port, raw) in ports {
            let place = place.at(&format!("{}.{port}", place.field));
            let Some(number) = port.parse::<u16>().ok().filter(|number| *number > 0) else {
                self.problems
                    .push(Problem::new(&place, "this is not a port"));
                continue;
            };
            let Some(mode) = self.read(&place, raw) else {
                continue;
            };
            let known = self.by_port.get(&number).copied();
            let kept = self.stricter(&place, known, mode);
            self.by_port.insert(number, kept);
        }
    }

    /// Where two resources of one level differ Istio takes the older one, which cannot be told here.
    fn stricter(&mut self, place: &Place, known: Option<Mode>, mode: Mode) -> Mode {
        let Some(known) = known.filter(|known| *known != mode) else {
            return mode;
        };
        let kept = known.max(mode);
        self.warn(
            place,
            format!(
                "another resource says otherwise: {} is kept, the stricter",
                kept.name()
            ),
        );
        kept
    }

    /// The mode in `{mode: …}`; none if it is not set.
    fn read(&mut self, place: &Place, raw: &Value) -> Option<Mode> {
        let mode = read(raw);
        mode.unwrap_or_else(|what| {
            self.problems.push(Problem::new(place, what));
            None
        })
    }

    fn warn(&mut self, place: &Place, text: String) {
        self.warnings.push(Warning {
            place: place.clone(),
            text,
        });
    }
}

fn read(raw: &Value) -> Result<Option<Mode>, String> {
    let fields = match raw {
        Value::Null => return Ok(None),
        Value::Object(fields) if fields.keys().all(|name| name == "mode") => fields,
        _ => return Err("this is not {mode: …}".to_owned()),
    };
    match fields.get("mode") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(mode)) => match mode.as_str() {
            "UNSET" => Ok(None),
            "STRICT" => Ok(Some(Mode::Strict)),
            "PERMISSIVE" => Ok(Some(Mode::Permissive)),
            "DISABLE" => Ok(Some(Mode::Disable)),
            other => Err(format!(
                "{other:?} is not a mode: STRICT, PERMISSIVE, DISABLE and UNSET are"
            )),
        },
        Some(_) => Err("this is not a mode".to_owned()),
    }
}
