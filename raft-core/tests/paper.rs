//! What the Raft paper promises (Ongaro and Ousterhout, "In search of an understandable consensus
//! algorithm", extended version), sentence by sentence: one test each, named for its promise, with
//! the place in a comment. Figure 3 is asserted by the harness after each step of all of them.

mod harness;

#[path = "paper/figure_2_answers.rs"]
mod figure_2_answers;
#[path = "paper/figure_2_rules.rs"]
mod figure_2_rules;
#[path = "paper/figure_3.rs"]
mod figure_3;
#[path = "paper/section_5.rs"]
mod section_5;
#[path = "paper/sections_6_to_8.rs"]
mod sections_6_to_8;
