// SPDX-License-Identifier: Apache-2.0
//! One line per case: the selector, and what it is of the message: true, false or unknown.

use super::truth;
use sabir_model::selector::Truth::{self, False, True, Unknown};

fn check(cases: &[(&str, Truth)]) {
    for (text, expected) in cases {
        assert_eq!(truth(text), *expected, "{text}");
        let turned = format!("NOT ({text})");
        assert_eq!(truth(&turned), !*expected, "{turned}");
    }
}

#[test]
fn and_or_and_not_follow_the_truth_tables_of_sql() {
    check(&[
        ("yes AND yes", True),
        ("yes AND no", False),
        ("yes AND none", Unknown),
        ("no AND yes", False),
        ("no AND no", False),
        ("no AND none", False),
        ("none AND yes", Unknown),
        ("none AND no", False),
        ("none AND none", Unknown),
        ("yes OR yes", True),
        ("yes OR no", True),
        ("yes OR none", True),
        ("no OR yes", True),
        ("no OR no", False),
        ("no OR none", Unknown),
        ("none OR yes", True),
        ("none OR no", Unknown),
        ("none OR none", Unknown),
        ("NOT yes", False),
        ("NOT no", True),
        ("NOT none", Unknown),
        ("NOT NOT yes", True),
        ("NOT NOT none", Unknown),
        ("TRUE AND none", Unknown),
        ("FALSE AND none", False),
        ("TRUE OR none", True),
        ("FALSE OR none", Unknown),
        ("yes AND none AND no", False),
        ("no OR none OR yes", True),
        ("yes AND yes AND yes AND none", Unknown),
        ("no OR no OR no OR none", Unknown),
    ]);
}

#[test]
fn not_binds_stronger_than_and_and_and_stronger_than_or() {
    check(&[
        ("yes OR no AND no", True),
        ("(yes OR no) AND no", False),
        ("no AND no OR yes", True),
        ("no AND (no OR yes)", False),
        ("NOT no AND no", False),
        ("NOT (no AND no)", True),
        ("NOT yes OR yes", True),
        ("NOT (yes OR yes)", False),
        ("NOT int = 5", True),
        ("NOT int = 100", False),
        ("NOT name LIKE 'J%'", False),
        ("NOT none IS NULL", False),
        ("no OR yes AND NOT no", True),
        ("((((yes))))", True),
    ]);
}

#[test]
fn a_name_is_a_condition_if_it_is_a_boolean() {
    check(&[
        ("yes", True),
        ("no", False),
        ("none", Unknown),
        ("nothing", Unknown),
        ("name", False),
        ("words", False),
        ("int", False),
        ("bytes", False),
        ("TRUE", True),
        ("FALSE", False),
        ("true", True),
        ("fAlSe", False),
        ("yes = TRUE", True),
        ("yes = FALSE", False),
        ("yes <> FALSE", True),
        ("no = FALSE", True),
        ("none = TRUE", Unknown),
        ("TRUE = yes", True),
        ("TRUE = TRUE", True),
        ("TRUE <> FALSE", True),
        ("yes = no", False),
        ("yes <> no", True),
        ("name = TRUE", False),
        ("name <> TRUE", True),
    ]);
}

#[test]
fn numbers_are_compared_whatever_their_types() {
    check(&[
        ("int = 100", True),
        ("int = 101", False),
        ("int <> 100", False),
        ("int <> 101", True),
        ("int < 100", False),
        ("int < 101", True),
        ("int <= 100", True),
        ("int <= 99", False),
        ("int > 99", True),
        ("int > 100", False),
        ("int >= 100", True),
        ("int >= 101", False),
        ("100 = int", True),
        ("99 < int", True),
        ("101 < int", False),
        ("byte = 12", True),
        ("byte < short", False),
        ("byte > short", True),
        ("short = -300", True),
        ("short < 0", True),
        ("short = - 300", True),
        ("long = 5000000000", True),
        ("long = 5000000000L", True),
        ("long > int", True),
        ("int < long", True),
        ("int = 100.0", True),
        ("int < 100.5", True),
        ("float = 1.5", True),
        ("float = 1.5f", True),
        ("float < double", True),
        ("double = 2.25", True),
        ("double > 2", True),
        ("double < 3", True),
        ("double >= 2.25", True),
        ("max = 9223372036854775807", True),
        ("max > 9223372036854775806", True),
        ("min = -9223372036854775808", True),
        ("min < -9223372036854775807", True),
        ("max = 9223372036854775806", False),
        ("1 = 1", True),
        ("1 < 2", True),
        ("2 < 1", False),
        ("1.0 < 1.1", True),
        ("-1.1 < 1.0", True),
        ("zero = 0", True),
        ("zero = -0.0", True),
        ("nan = nan", False),
        ("nan <> nan", True),
        ("nan < 1", False),
        ("nan > 1", False),
    ]);
}

#[test]
fn number_literals_have_javas_forms() {
    check(&[
        ("0x10 = 16", True),
        ("0X1f = 31", True),
        ("0xFFFFFFFF = 4294967295", True),
        ("0x7fffffffffffffff = max", True),
        ("0x10L = 16", True),
        ("010 = 8", True),
        ("0777 = 511", True),
        ("0 = zero", True),
        ("00 = 0", True),
        ("1e2 = int", True),
        ("1E2 = 100", True),
        ("1e+2 = 100", True),
        ("1e-2 = 0.01", True),
        ("10.E1 = 100", True),
        (".1E3 = 100", True),
        ("1. < 1.1", True),
        ("-1.1 < 1.", True),
        (".1 < .5", True),
        ("-.5 < .1", True),
        ("-.5E1 < .1E1", True),
        ("4E10 < 5E10", True),
        ("5E8 < 5E10", True),
        ("-4E10 < 2E10", True),
        ("4E-10 < 5E-10", True),
        ("1.5d = 1.5", True),
        ("1.5D = 1.5F", True),
        ("3f = 3", True),
        ("3l = 3L", True),
        ("09.5 = 9.5", True),
    ]);
}

#[test]
fn texts_are_equal_or_not() {
    check(&[
        ("name = 'James'", True),
        ("name = 'james'", False),
        ("name <> 'James'", False),
        ("name <> 'Kate'", True),
        ("name = same", True),
        ("name <> same", False),
        ("name = other", False),
        ("'James' = name", True),
        ("empty = ''", True),
        ("name = ''", False),
        ("'a' = 'a'", True),
        ("quote = 'it''s 100%_ok'", True),
        ("'''' = ''''", True),
        ("name < other", True),
        ("name > other", False),
        ("name <= same", True),
        ("städte = 'Köln'", True),
        ("name='James'AND yes", True),
    ]);
}

#[test]
fn values_of_different_kinds_are_not_equal_and_in_no_order() {
    check(&[
        ("name = 5", False),
        ("name <> 5", True),
        ("name < 5", False),
        ("name > 5", False),
        ("digits = 42", False),
        ("digits <> 42", True),
        ("digits > 1", False),
        ("int = 'x'", False),
        ("int = '100'", False),
        ("int <> '100'", True),
        ("yes = 1", False),
        ("yes <> 'true'", True),
        ("yes = name", False),
        ("yes < int", False),
        ("bytes = 'x'", False),
        ("bytes <> 'x'", True),
        ("bytes = bytes", False),
        ("letter = 'A'", False),
        ("letter = 65", False),
        ("map = map", False),
        ("map > 1", False),
    ]);
}

#[test]
fn what_is_missing_makes_a_comparison_unknown() {
    check(&[
        ("none = 0", Unknown),
        ("none <> 0", Unknown),
        ("none < 0", Unknown),
        ("none <= 0", Unknown),
        ("none > 0", Unknown),
        ("none >= 0", Unknown),
        ("0 = none", Unknown),
        ("0 <> none", Unknown),
        ("none = 'x'", Unknown),
        ("none = none", Unknown),
        ("nothing = 0", Unknown),
        ("nothing <> 'x'", Unknown),
        ("none = nothing", Unknown),
        ("none LIKE 'x'", Unknown),
        ("none NOT LIKE 'x'", Unknown),
        ("none IN ('x')", Unknown),
        ("none NOT IN ('x')", Unknown),
        ("none BETWEEN 1 AND 2", Unknown),
        ("none NOT BETWEEN 1 AND 2", Unknown),
        ("-none = 0", Unknown),
        ("+none = 0", Unknown),
        ("none + 2 = 0", Unknown),
        ("2 - none = 0", Unknown),
        ("none * 2 = 0", Unknown),
        ("none / 2 = 0", Unknown),
        ("none = 'Foo' AND noneTwo < 200", Unknown),
        ("none = 'Foo' OR noneTwo < 200", Unknown),
        ("none = 1 OR int = 100", True),
        ("none = 1 AND int = 1", False),
    ]);
}

#[test]
fn is_null_is_never_unknown() {
    check(&[
        ("none IS NULL", True),
        ("none IS NOT NULL", False),
        ("nothing IS NULL", True),
        ("nothing is not null", False),
        ("name IS NULL", False),
        ("name IS NOT NULL", True),
        ("empty IS NULL", False),
        ("zero IS NULL", False),
        ("no IS NULL", False),
        ("bytes IS NOT NULL", True),
        ("JMSType IS NOT NULL", True),
        ("int + none IS NULL", True),
        ("(none = 1) IS NULL", True),
        ("int = 1 IS NULL", False),
    ]);
}

#[test]
fn arithmetic_keeps_whole_numbers_whole_and_divides_into_fractions() {
    check(&[
        ("int + 2 = 102", True),
        ("(int + 2) = 102", True),
        ("102 = (int + 2)", True),
        ("int + byte = 112", True),
        ("int - 2 = 98", True),
        ("int - byte = 88", True),
        ("int * 2 = 200", True),
        ("int * byte = 1200", True),
        ("int / 8 = 12.5", True),
        ("7 / 2 = 3.5", True),
        ("8 / 2 = 4", True),
        ("7 % 4 = 3", True),
        ("-7 % 4 = -3", True),
        ("2 + 3 * 4 = 14", True),
        ("(2 + 3) * 4 = 20", True),
        ("10 - 4 - 3 = 3", True),
        ("10 - (4 - 3) = 9", True),
        ("100 / 10 / 2 = 5", True),
        ("100 / (10 / 2) = 20", True),
        ("2 * -3 = -6", True),
        ("-int = -100", True),
        ("- -int = 100", True),
        ("--int = 100", True),
        ("-(int + 1) = -101", True),
        ("+int = 100", True),
        ("+-+int = -100", True),
        ("3 - -3 = 6", True),
        ("float + 1 = 2.5", True),
        ("float * double = 3.375", True),
        ("int+1>100", True),
        ("5-3=2", True),
        ("max + 1 > max", False),
        ("max + 2048 > max", True),
        ("max * 2 > max", True),
        ("-min > 0", True),
        ("min - 2048 < min", True),
        ("-float = -1.5", True),
        ("long + 1 = 5000000001", True),
    ]);
}

#[test]
fn arithmetic_without_a_result_is_unknown() {
    check(&[
        ("int / 0 = 1", Unknown),
        ("int / zero = 1", Unknown),
        ("int / 0.0 > 1", Unknown),
        ("int % 0 = 0", Unknown),
        ("0 / 0 = 0", Unknown),
        ("int / zero IS NULL", True),
        ("int / zero = 1 OR yes", True),
        ("name + 1 = 2", Unknown),
        ("1 + name = 2", Unknown),
        ("name * 2 = 2", Unknown),
        ("-name = 2", Unknown),
        ("yes + 1 = 2", Unknown),
        ("bytes - 1 = 2", Unknown),
        ("digits + 1 = 43", Unknown),
    ]);
}

#[test]
fn between_includes_both_ends() {
    check(&[
        ("int BETWEEN 100 AND 150", True),
        ("int BETWEEN 50 AND 100", True),
        ("int BETWEEN 101 AND 150", False),
        ("int BETWEEN 150 AND 50", False),
        ("int NOT BETWEEN 100 AND 150", False),
        ("int NOT BETWEEN 101 AND 150", True),
        ("int between 99.5 and 100.5", True),
        ("int BETWEEN byte AND long", True),
        ("int BETWEEN 50 + 50 AND 60 * 2", True),
        ("int + 1 BETWEEN 101 AND 101", True),
        ("int BETWEEN 1 AND 5 OR yes", True),
        ("int BETWEEN 1 AND 200 AND yes", True),
        ("int BETWEEN 1 AND 200 AND no", False),
        ("int BETWEEN none AND 50", False),
        ("int BETWEEN none AND 200", Unknown),
        ("int BETWEEN 1 AND none", Unknown),
        ("int NOT BETWEEN none AND 50", True),
        ("int NOT BETWEEN 1 AND none", Unknown),
        ("5 BETWEEN 1 AND 10", True),
        ("name BETWEEN 1 AND 2", False),
        ("name NOT BETWEEN 1 AND 2", False),
        ("name BETWEEN name AND other", True),
    ]);
}

#[test]
fn in_looks_for_a_text_in_a_list() {
    check(&[
        ("name IN ('James')", True),
        ("name IN ('Kate', 'James')", True),
        ("name IN ('Kate', 'Tom')", False),
        ("name NOT IN ('Kate', 'Tom')", True),
        ("name NOT IN ('James')", False),
        ("name in('James','Kate')", True),
        ("quote IN ('it''s 100%_ok')", True),
        ("empty IN ('')", True),
        ("int IN ('100')", Unknown),
        ("int NOT IN ('100')", Unknown),
        ("yes IN ('true')", Unknown),
        ("bytes IN ('x')", Unknown),
        ("JMSType IN ('order', 'invoice')", True),
        ("(name) IN ('James')", True),
    ]);
}

#[test]
fn like_knows_percent_underscore_and_escape() {
    check(&[
        ("name LIKE 'James'", True),
        ("name LIKE 'Jame'", False),
        ("name LIKE 'J%'", True),
        ("name LIKE '%s'", True),
        ("name LIKE '%am%'", True),
        ("name LIKE '%'", True),
        ("name LIKE '%%'", True),
        ("name LIKE 'James%'", True),
        ("name LIKE '%James'", True),
        ("name LIKE '_ames'", True),
        ("name LIKE '_____'", True),
        ("name LIKE '______'", False),
        ("name LIKE '____'", False),
        ("name LIKE 'J___s'", True),
        ("name LIKE 'J_%s'", True),
        ("name LIKE 'J%_s'", True),
        ("name LIKE '%_%_%'", True),
        ("name LIKE 'K%'", False),
        ("name LIKE '%x%'", False),
        ("name LIKE 'J%J%'", False),
        ("name LIKE 'Jam%mes'", False),
        ("name LIKE 'j%'", False),
        ("name NOT LIKE 'J%'", False),
        ("name NOT LIKE 'K%'", True),
        ("empty LIKE ''", True),
        ("empty LIKE '%'", True),
        ("empty LIKE '_'", False),
        ("name LIKE ''", False),
        ("quote LIKE 'it''s%'", True),
        ("quote LIKE '%100!%!_ok' ESCAPE '!'", True),
        ("quote LIKE '%100!_!_ok' ESCAPE '!'", False),
        ("quote LIKE '%100%_ok'", True),
        ("quote LIKE '%!%%' ESCAPE '!'", True),
        ("name LIKE '%!%%' ESCAPE '!'", False),
        ("name LIKE 'J!ames' ESCAPE '!'", False),
        ("name LIKE 'Ja%' ESCAPE 'a'", False),
        ("quote NOT LIKE '%!_%' ESCAPE '!'", False),
        ("quote LIKE '%\\%\\_%' ESCAPE '\\'", True),
        ("städte LIKE 'K_ln'", True),
        ("städte LIKE '____'", True),
        ("städte LIKE 'K%ln'", True),
        ("int LIKE '100'", False),
        ("int NOT LIKE '100'", True),
        ("yes LIKE 'true'", False),
        ("'James' LIKE 'J%'", True),
        ("JMSMessageID LIKE 'ID:host-1:%'", True),
    ]);
}

#[test]
fn headers_are_read_from_the_head() {
    check(&[
        ("JMSDeliveryMode = 'PERSISTENT'", True),
        ("JMSDeliveryMode = 'NON_PERSISTENT'", False),
        ("JMSPriority = 6", True),
        ("JMSPriority > 4", True),
        ("JMSPriority BETWEEN 0 AND 5", False),
        ("JMSMessageID = 'ID:host-1:1:1:7'", True),
        ("JMSTimestamp = 1700000000000", True),
        ("JMSTimestamp < JMSExpiration", True),
        ("JMSExpiration = 0", False),
        ("JMSExpiration - JMSTimestamp = 60000", True),
        ("JMSCorrelationID = 'order-9'", True),
        ("JMSType = 'order'", True),
        ("JMSType = 'crap' OR JMSType = 'order'", True),
        ("JMSDestination = 'queue://ORDERS.EU'", True),
        ("JMSDestination LIKE 'queue://ORDERS.%'", True),
        ("JMSReplyTo = 'temp-queue://ID:1:1'", True),
        ("JMSXGroupID = 'customer-5'", True),
        ("JMSXGroupSeq = 3", True),
        ("JMSXUserID = 'ann'", True),
        ("JMSXDeliveryCount = 3", True),
        ("JMSRedelivered", True),
        ("JMSRedelivered = FALSE", False),
        ("JMSXAppID = 'app'", True),
        ("JMSNone IS NULL", True),
        ("jmspriority IS NULL", True),
        ("jmspriority = 6", Unknown),
    ]);
}

#[test]
fn names_follow_java_and_keywords_are_in_any_case() {
    check(&[
        ("$price_1 = 7", True),
        ("_none IS NULL", True),
        ("städte IS NOT NULL", True),
        ("Name IS NULL", True),
        ("name Is Not Null and yes", True),
        ("not no", True),
        ("name like 'J%' And int Between 1 and 100 oR no", True),
        ("android IS NULL", True),
        ("nothing2 IS NULL", True),
        ("inn IS NULL", True),
        ("\t yes\n AND\r\u{c} yes ", True),
    ]);
    assert_eq!(truth("hyphenated_props:my-name = 'hyphen'"), True);
    assert_eq!(truth("my-name = 'hyphen'"), Unknown);
    assert_eq!(truth("hyphenated_props:int - 1 = 99"), True);
    assert_eq!(truth("hyphenated_props:int-1 = 99"), Unknown);
}

#[test]
fn with_the_prefix_text_is_read_as_what_it_is_compared_with() {
    let converting: &[(&str, Truth)] = &[
        ("digits = 42", True),
        ("digits > 41", True),
        ("digits < 41", False),
        ("41 < digits", True),
        ("43 < digits", False),
        ("digits = 42.0", True),
        ("decimal = 4.5", True),
        ("decimal > 4", True),
        ("decimal BETWEEN 4 AND 5", True),
        ("digits <> 42", False),
        ("digits = int", False),
        ("name = 5", False),
        ("name <> 5", True),
        ("name > 5", False),
        ("empty = 0", False),
        ("none = 5", Unknown),
        ("words = TRUE", True),
        ("words <> TRUE", False),
        ("TRUE = words", True),
        ("name = FALSE", True),
        ("words", True),
        ("name", False),
        ("digits * 2 = 84", True),
        ("digits + decimal = 46.5", True),
        ("-digits = -42", True),
        ("name + 1 = 2", Unknown),
        ("digits = '42'", True),
        ("int = '100'", True),
        ("int = '1e2'", True),
        ("int = 'inf'", False),
        ("digits IN ('42')", True),
        ("digits LIKE '4_'", True),
    ];
    for (text, expected) in converting {
        assert_eq!(truth(&format!("convert_string_expressions:{text}")), *expected, "{text}");
    }
    assert_eq!(truth("hyphenated_props:convert_string_expressions:digits = 42"), True);
    assert_eq!(truth("convert_string_expressions:hyphenated_props: digits = 42"), True);
    assert_eq!(truth("CONVERT_STRING_EXPRESSIONS IS NULL"), True);
}
