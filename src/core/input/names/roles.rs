//! What each field of a set of names is: time, channel, position, focal plane.
//!
//! Labels decide. A field without one is what the field is that it goes with; a number that is left alone is the time
//! where nothing else is. Everything else could be read in two ways, and is left to a person.

use super::fields::Field;
use super::labels::{Label, is_channel};
use super::pieces::Kind;

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The same in all names.
    Constant,
    /// Which frame.
    Time,
    /// When each file was recorded, beside another field that is the time.
    Clock,
    Channel,
    Position,
    Z,
    /// Says the same as another field.
    Same,
    /// Not known.
    Unknown,
}

/// Returns the role of every field; one of them may be [`Role::Unknown`].
pub(super) fn roles(fields: &[Field]) -> Vec<Role> {
    let mut roles: Vec<Role> = fields.iter().map(by_itself).collect();
    for role in [Role::Time, Role::Clock, Role::Channel, Role::Z] {
        one_of(fields, &mut roles, role);
    }
    same_positions(fields, &mut roles);
    companions(fields, &mut roles);
    clocks(fields, &mut roles);
    the_only_number(fields, &mut roles);
    roles
}

/// Returns what a field says of itself.
fn by_itself(field: &Field) -> Role {
    if !field.varies() {
        return Role::Constant;
    }
    let is = |kind: fn(&Kind) -> bool| field.values.iter().all(|v| kind(&v.kind));
    match field.label {
        _ if is(|k| matches!(k, Kind::Clock(_))) => Role::Clock,
        _ if is(|k| matches!(k, Kind::Duration(_))) => Role::Time,
        Label::Time => Role::Time,
        Label::Channel => Role::Channel,
        Label::Position | Label::Well => Role::Position,
        Label::Z => Role::Z,
        Label::None if field.unit.is_some() => Role::Time,
        Label::None if field.values.iter().all(|v| v.kind == Kind::Word && is_channel(&v.text)) => {
            Role::Channel
        }
        Label::None => Role::Unknown,
    }
}

/// Leaves one field of a role where all others say the same, and none where they do not.
fn one_of(fields: &[Field], roles: &mut [Role], role: Role) {
    let of_role: Vec<usize> = (0..fields.len()).filter(|&i| roles[i] == role).collect();
    // A channel's word says more than its number.
    let is_word = |i: &&usize| fields[**i].values.iter().any(|v| v.kind == Kind::Word);
    let Some(&first) = of_role.iter().find(is_word).or(of_role.first()) else { return };
    for &i in of_role.iter().filter(|&&i| i != first) {
        let same = match role {
            Role::Channel => fields[i].goes_with(&fields[first]),
            _ => fields[i].rises_with(&fields[first]),
        };
        roles[i] = if same { Role::Same } else { Role::Unknown };
    }
}

/// Positions that go with each other are one: a folder `xy01` of files `exp_xy01_t3`. Others are parts of it, as a well
/// and a field in it.
fn same_positions(fields: &[Field], roles: &mut [Role]) {
    for i in 0..fields.len() {
        let goes = |k: usize| roles[k] == Role::Position && fields[k].goes_with(&fields[i]);
        if roles[i] == Role::Position && (0..i).any(goes) {
            roles[i] = Role::Same;
        }
    }
}

/// Gives fields without a label the role of what they go with.
fn companions(fields: &[Field], roles: &mut [Role]) {
    let unknown: Vec<usize> = (0..fields.len()).filter(|&i| roles[i] == Role::Unknown).collect();
    for &i in &unknown {
        let with = |role: Role| (0..fields.len()).filter(|&k| roles[k] == role).collect::<Vec<_>>();
        let goes = |role| with(role).into_iter().find(|&k| fields[i].goes_with(&fields[k]));
        if let Some(number) = goes(Role::Channel) {
            let word = fields[i].values.iter().any(|v| v.kind == Kind::Word);
            let named = fields[number].values.iter().any(|v| v.kind == Kind::Word);
            if word && !named {
                (roles[i], roles[number]) = (Role::Channel, Role::Same);
            } else {
                roles[i] = Role::Same;
            }
        } else if goes(Role::Position).is_some()
            || with(Role::Time).into_iter().any(|k| fields[i].rises_with(&fields[k]))
        {
            roles[i] = Role::Same;
        } else if let Some(k) = unknown
            .iter()
            .copied()
            .find(|&k| k < i && roles[k] == Role::Unknown && fields[k].rises_with(&fields[i]))
        {
            // Two that say the same are one; a number is rather the time than a word.
            let word = |i: usize| fields[i].values.iter().any(|v| v.kind == Kind::Word);
            roles[if word(k) && !word(i) { k } else { i }] = Role::Same;
        }
    }
}

/// A time of day is the time where nothing else is, or says when frames were recorded.
fn clocks(fields: &[Field], roles: &mut [Role]) {
    let Some(clock) = roles.iter().position(|r| *r == Role::Clock) else { return };
    if roles.contains(&Role::Time) {
        return;
    }
    let counter = (0..fields.len()).find(|&i| {
        roles[i] == Role::Unknown
            && fields[i].values.iter().all(|v| matches!(v.kind, Kind::Number(_)))
            && fields[i].rises_with(&fields[clock])
    });
    match counter {
        Some(counter) => roles[counter] = Role::Time,
        None => roles[clock] = Role::Time,
    }
}

/// The only number that differs is the time, where nothing else says that it is.
fn the_only_number(fields: &[Field], roles: &mut [Role]) {
    if roles.contains(&Role::Time) {
        return;
    }
    let unknown: Vec<usize> = (0..fields.len()).filter(|&i| roles[i] == Role::Unknown).collect();
    let [one] = unknown[..] else { return };
    if fields[one].values.iter().all(|v| matches!(v.kind, Kind::Number(_))) {
        roles[one] = Role::Time;
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::fields;
    use super::*;

    /// Returns the roles of the fields that vary, letter by letter: T, K (clock), C, P, Z, = and ?.
    fn read(stems: &[&str]) -> String {
        let stems: Vec<String> = stems.iter().map(|s| (*s).to_owned()).collect();
        let letter = |role: &Role| match role {
            Role::Constant => None,
            Role::Time => Some('T'),
            Role::Clock => Some('K'),
            Role::Channel => Some('C'),
            Role::Position => Some('P'),
            Role::Z => Some('Z'),
            Role::Same => Some('='),
            Role::Unknown => Some('?'),
        };
        roles(&fields(&stems).unwrap()).iter().filter_map(letter).collect()
    }

    #[test]
    fn labels_decide() {
        assert_eq!(read(&["t000_BF", "t000_GFP", "t001_BF", "t001_GFP"]), "TC");
        assert_eq!(read(&["Pos0_t0_z0", "Pos0_t0_z1", "Pos1_t0_z0", "Pos1_t1_z1"]), "PTZ");
        assert_eq!(read(&["B02_t0", "B03_t0", "B02_t1"]), "PT");
        assert_eq!(read(&["B02_s1_t0", "B03_s1_t0", "B02_s2_t0"]), "PP");
        assert_eq!(read(&["pos1_xy1_t0", "pos2_xy2_t0", "pos2_xy2_t1"]), "P=T");
        assert_eq!(read(&["Pos0", "Pos1", "Pos2"]), "P");
    }

    #[test]
    fn the_only_number_that_differs_is_the_time() {
        assert_eq!(read(&["img (1)", "img (2)"]), "T");
        assert_eq!(read(&["img_000000000_GFP_000", "img_000000001_GFP_000"]), "T");
        assert_eq!(read(&["img_000_GFP_000", "img_001_GFP_001", "img_001_GFP_000"]), "??");
        assert_eq!(read(&["t0_s1_3", "t1_s1_3", "t0_s1_4"]), "T?");
        assert_eq!(read(&["apple", "pear"]), "?");
    }

    #[test]
    fn what_goes_together_is_one_field() {
        assert_eq!(read(&["w1GFP_t1", "w1GFP_t2", "w2BF_t1", "w2BF_t2"]), "=CT");
        assert_eq!(read(&["t1_7", "t2_9", "t3_12"]), "T=");
        assert_eq!(read(&["1_7", "2_9", "3_12"]), "T=");
        assert_eq!(read(&["1_9", "2_7", "3_12"]), "??");
    }

    #[test]
    fn a_time_of_day_is_the_time_or_goes_with_it() {
        assert_eq!(read(&["m_20230115_230000", "m_20230116_001000"]), "T");
        assert_eq!(read(&["20230115_230000_0001", "20230116_001000_0002"]), "KT");
        assert_eq!(read(&["t1_20230115_230000", "t2_20230116_001000"]), "TK");
        assert_eq!(read(&["V1_A1_1_00d00h00m", "V1_A1_1_00d06h00m"]), "T");
    }
}
