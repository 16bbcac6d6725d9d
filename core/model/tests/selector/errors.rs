// SPDX-License-Identifier: Apache-2.0
//! What is no selector, and how it is said.

use sabir_model::selector::{Selector, SelectorProblem};

#[test]
fn an_error_says_where_it_is_what_was_found_and_what_was_expected() {
    let cases = [
        ("", "column 1: the selector is empty"),
        ("   ", "column 4: the selector is empty"),
        ("a =", "column 4: expected a name, a text, a number or '(', found the end"),
        (
            "a = 1 AMD b = 2",
            "column 7: expected an operator or the end, found the name AMD, at \"AMD b = 2\"",
        ),
        ("(a = 1", "column 7: expected an operator or ')', found the end"),
        ("a = 1)", "column 6: expected an operator or the end, found ')', at \")\""),
        (
            "=TEST 'test'",
            "column 1: expected a name, a text, a number or '(', found '=', at \"=TEST 'test'\"",
        ),
        (
            "a = 'x",
            "column 5: this text has no closing quote (a quote inside a text is written twice), at \"'x\"",
        ),
        ("a == 1", "column 4: expected a name, a text, a number or '(', found '=', at \"= 1\""),
        ("a != 1", "column 3: '!' cannot stand here (not equal is written <>), at \"!= 1\""),
        (
            "a = \"x\"",
            "column 5: '\"' cannot stand here (texts are written in single quotes), at \"\\\"x\\\"\"",
        ),
        ("a = 1 && b = 2", "column 7: '&' cannot stand here (and is written AND), at \"&& b = 2\""),
        (
            "a.b = 1",
            "column 2: '.' cannot stand here (names have letters, digits, _ and $ only), at \".b = 1\"",
        ),
        ("a = 12abc", "column 5: \"12abc\" is no number, at \"12abc\""),
        (
            "a = 089",
            "column 5: \"089\" is no number: behind a leading 0 it is octal, with digits 0 to 7, at \"089\"",
        ),
        ("a = 0x", "column 5: \"0x\" is no number, at \"0x\""),
        ("a = 1e", "column 5: \"1e\" is no number, at \"1e\""),
        ("a = 1.2.3", "column 5: \"1.2.3\" is no number, at \"1.2.3\""),
        (
            "a = 9223372036854775808",
            "column 5: \"9223372036854775808\" is no number: it is too large, at \"9223372036854775808\"",
        ),
        ("a = 1e999", "column 5: \"1e999\" is no number: it is too large, at \"1e999\""),
        ("3 + 5", "column 1: a selector needs conditions, but has a number, at \"3 + 5\""),
        ("'text'", "column 1: a selector needs conditions, but has a text, at \"'text'\""),
        ("TRUE AND 3 + 5", "column 10: AND needs conditions, but has a number, at \"3 + 5\""),
        ("NOT 'x'", "column 5: NOT needs conditions, but has a text, at \"'x'\""),
        ("a < 'x'", "column 1: < needs numbers, but has a text, at \"a < 'x'\""),
        ("1 < a < 5", "column 1: < needs numbers, but has a condition, at \"1 < a < 5\""),
        ("a >= TRUE", "column 1: >= needs numbers, but has a condition, at \"a >= TRUE\""),
        ("a + 'x' = 'y'", "column 1: + needs numbers, but has a text, at \"a + 'x' = 'y'\""),
        ("-'x' = 1", "column 1: the sign - needs numbers, but has a text, at \"-'x' = 1\""),
        (
            "TRUE = 5",
            "column 1: = needs a condition on both sides or on none, but has a number, at \"TRUE = 5\"",
        ),
        (
            "a = NULL",
            "column 5: expected IS NULL or IS NOT NULL: nothing is equal to NULL, found NULL, at \"NULL\"",
        ),
        ("a IS 5", "column 6: expected NULL or NOT NULL behind IS, found a number, at \"5\""),
        ("a NOT 5", "column 7: expected BETWEEN, LIKE or IN behind NOT, found a number, at \"5\""),
        ("a BETWEEN 1 OR 2", "column 13: expected the AND of BETWEEN, found OR, at \"OR 2\""),
        (
            "a BETWEEN 'x' AND 'y'",
            "column 1: BETWEEN needs numbers, but has a text, at \"a BETWEEN 'x' AND 'y'\"",
        ),
        ("a IN ()", "column 7: expected a text in the list of IN, found ')', at \")\""),
        ("a IN (1, 2)", "column 7: expected a text in the list of IN, found a number, at \"1, 2)\""),
        ("a IN ('x' 'y')", "column 11: expected ',' or ')' in the list of IN, found a text, at \"'y')\""),
        ("a IN 'x'", "column 6: expected '(' and texts behind IN, found a text, at \"'x'\""),
        ("'x' IN ('x')", "column 1: IN needs a name, but has a text, at \"'x' IN ('x')\""),
        ("a LIKE 5", "column 8: expected a text behind LIKE, found a number, at \"5\""),
        ("5 LIKE 'x'", "column 1: LIKE needs a name, but has a number, at \"5 LIKE 'x'\""),
        ("a LIKE 'x' ESCAPE 'ab'", "column 19: ESCAPE needs a text of one character, at \"'ab'\""),
        ("a LIKE 'x' ESCAPE ''", "column 19: ESCAPE needs a text of one character, at \"''\""),
        ("a = NOT b", "column 5: expected a name, a text, a number or '(', found NOT, at \"NOT b\""),
        (
            "REGEX('x', a)",
            "column 1: the function REGEX is an extension of other brokers, which this one does not have, at \"REGEX('x', a)\"",
        ),
        (
            "XPATH '/a'",
            "column 1: XPATH is an extension of other brokers, which this one does not have, at \"XPATH '/a'\"",
        ),
        ("städte = ", "column 10: expected a name, a text, a number or '(', found the end"),
        (
            "convert_string_expressions:a =",
            "column 31: expected a name, a text, a number or '(', found the end",
        ),
    ];
    for (text, expected) in cases {
        let error = Selector::parse(text).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn the_column_counts_characters_and_not_bytes() {
    let error = Selector::parse("städte = !").unwrap_err();
    assert_eq!((error.column, error.problem), (10, SelectorProblem::Character('!')));
}
