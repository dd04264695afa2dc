//! A one-time ticket as its holder has it: `Ticket`, 128 bits and their text form.
//!
//! The text is 28 characters of Crockford's base32 in groups of four, 34 characters in all:
//! `9f3k-0a7m-…`. They are 16 bytes and 12 bits of a hash of them, so that a mistyped ticket is
//! found (but for one in 4,096) where it was typed. Reading it, upper and lower case are the same,
//! `o` is 0, `i` and `l` are 1, and hyphens say nothing.

use crate::digest;
use crate::edges::Entropy;
use crate::own::tickets::Name;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const BITS_BYTES: usize = 16;
const CHARACTERS: usize = 28;
const GROUP: usize = 4;
/// The bits, and 12 of their hash in the upper bits of two bytes.
const CODED_BYTES: usize = BITS_BYTES + 2;

/// A ticket that can be consumed once. Whoever has it may; so it does not print itself, and its
/// text is asked for by [`reveal`](Self::reveal).
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket(Zeroizing<[u8; BITS_BYTES]>);

/// Why a text is no ticket. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no ticket: it has 28 letters and digits, of which one is wrong; copy it again")]
pub struct MistypedTicket;

impl Ticket {
    /// The longest text that is read, in bytes.
    pub const TEXT_BYTES_MAX: usize = 80;

    pub(crate) fn draw(entropy: &dyn Entropy) -> Self {
        let mut bits = Zeroizing::new([0; BITS_BYTES]);
        for part in bits.chunks_mut(size_of::<u64>()) {
            part.copy_from_slice(&entropy.draw().to_le_bytes());
        }
        Self(bits)
    }

    /// What it is called where it must not be shown.
    pub(crate) fn name(&self) -> Name {
        Name(digest::of(&[b"holm ticket", &self.0[..]]))
    }

    /// Its text, to be handed to its holder: 34 lower-case letters, digits and hyphens, that can
    /// stand in a link or for a user's name.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let coded = self.coded();
        let length = CHARACTERS + CHARACTERS / GROUP - 1;
        let mut text = Zeroizing::new(String::with_capacity(length));
        for at in 0..CHARACTERS {
            if at > 0 && at % GROUP == 0 {
                text.push('-');
            }
            let value = (0..5).fold(0, |value, bit| value << 1 | bit_of(&coded[..], at * 5 + bit));
            text.push(char::from(ALPHABET[usize::from(value)]));
        }
        text
    }

    fn coded(&self) -> Zeroizing<[u8; CODED_BYTES]> {
        let hash = digest::of(&[b"holm ticket text", &self.0[..]]);
        let mut coded = Zeroizing::new([0; CODED_BYTES]);
        coded[..BITS_BYTES].copy_from_slice(&self.0[..]);
        (coded[BITS_BYTES], coded[BITS_BYTES + 1]) = (hash[0], hash[1] & 0xf0);
        coded
    }
}

fn bit_of(bytes: &[u8], at: usize) -> u8 {
    bytes[at / 8] >> (7 - at % 8) & 1
}

impl FromStr for Ticket {
    type Err = MistypedTicket;

    fn from_str(text: &str) -> Result<Self, MistypedTicket> {
        let text = text.trim();
        if text.len() > Self::TEXT_BYTES_MAX {
            return Err(MistypedTicket);
        }
        let mut coded = Zeroizing::new([0_u8; CODED_BYTES]);
        let mut count = 0;
        for letter in text.bytes().filter(|letter| *letter != b'-') {
            let letter = match letter.to_ascii_lowercase() {
                b'o' => b'0',
                b'i' | b'l' => b'1',
                other => other,
            };
            let value = ALPHABET.iter().position(|known| *known == letter).ok_or(MistypedTicket)?;
            if count == CHARACTERS {
                return Err(MistypedTicket);
            }
            for bit in (0..5).filter(|bit| value >> (4 - bit) & 1 == 1) {
                let at = count * 5 + bit;
                coded[at / 8] |= 0x80 >> (at % 8);
            }
            count += 1;
        }
        let mut ticket = Self(Zeroizing::new([0; BITS_BYTES]));
        ticket.0.copy_from_slice(&coded[..BITS_BYTES]);
        if count == CHARACTERS && ticket.coded() == coded {
            Ok(ticket)
        } else {
            Err(MistypedTicket)
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ticket(bits: [u8; BITS_BYTES]) -> Ticket {
        Ticket(Zeroizing::new(bits))
    }

    #[test]
    fn the_text_form_stays_as_it_is() {
        let text = ticket(*b"0123456789abcdef").reveal();
        assert_eq!(*text, "60rk-4csm-6mv3-ee1s-c5h6-6s35-cst9");
    }

    #[test]
    fn a_ticket_does_not_print_itself() {
        assert_eq!(format!("{:?}", ticket([7; BITS_BYTES])), "Ticket(..)");
    }

    proptest! {
        #[test]
        fn every_ticket_is_read_back_however_it_is_typed(bits: [u8; BITS_BYTES]) {
            let text = ticket(bits).reveal();
            prop_assert_eq!(text.len(), 34);
            let typed = [
                text.to_string(),
                text.to_uppercase(),
                text.replace('-', ""),
                format!(" {}\n", *text),
                text.replace('0', "O").replace('1', "l"),
                text.replace('1', "I"),
            ];
            for typed in typed {
                prop_assert_eq!(typed.parse::<Ticket>(), Ok(ticket(bits)), "{}", typed);
            }
            for length in 0..text.len() {
                prop_assert_eq!(text[..length].parse::<Ticket>(), Err(MistypedTicket));
            }
            let longer = format!("{}0", *text).parse::<Ticket>();
            prop_assert_eq!(longer, Err(MistypedTicket));
        }

        /// What is read is the one ticket of that text.
        #[test]
        fn any_text_is_read_as_what_it_says_or_refused(text in "[0-9a-zA-Z-]{20,40}|\\PC*") {
            if let Ok(read) = text.parse::<Ticket>() {
                let plain: String = text
                    .trim()
                    .to_lowercase()
                    .replace('-', "")
                    .replace('o', "0")
                    .replace(['i', 'l'], "1");
                prop_assert_eq!(read.reveal().replace('-', ""), plain);
            }
        }
    }

    #[test]
    fn most_mistyped_tickets_are_found() {
        let text = ticket([0x5a; BITS_BYTES]).reveal().replace('-', "");
        let (mut typed, mut missed) = (0, 0);
        for at in 0..text.len() {
            for letter in ALPHABET.iter().filter(|letter| text.as_bytes()[at] != **letter) {
                let mut wrong = text.clone().into_bytes();
                wrong[at] = *letter;
                typed += 1;
                missed += usize::from(String::from_utf8(wrong).unwrap().parse::<Ticket>().is_ok());
            }
        }
        assert_eq!(typed, 28 * 31);
        assert!(missed <= 2, "{missed} of {typed}");
    }
}
