//! Texts and numbers by language. Expected values are those of Node 20.

use crate::play::result_of;

/// Each expression gives this JSON; an exception gives its name and message.
fn all_give(rows: &[(&str, &str)]) {
    for (expression, expected) in rows {
        let source = format!(
            "try {{ return {expression} }} catch (e) {{ return `${{e.name}}: ${{e.message}}` }}"
        );
        assert_eq!(result_of(&source), *expected, "{expression}");
    }
}

#[test]
fn texts_are_ordered_as_in_v8() {
    all_give(&[
        (
            "['b','a','B','ä','A','z','Z','10','9','é','e','f','-','_',' '].sort((x,y)=>x.localeCompare(y)).join('')",
            r#"" _-109aAäbBeéfzZ""#,
        ),
        (
            "['b', 'a', 'B', 'ä'].sort((x, y) => x.localeCompare(y)).join('')",
            r#""aäbB""#,
        ),
        (
            "['ä','z','a'].sort((x,y)=>x.localeCompare(y,'sv')).join('')",
            r#""azä""#,
        ),
        (
            "['ä','z','a'].sort((x,y)=>x.localeCompare(y,'de')).join('')",
            r#""aäz""#,
        ),
        (
            "['a10','a9','a1'].sort((x,y)=>x.localeCompare(y,undefined,{numeric:true}))",
            r#"["a1","a9","a10"]"#,
        ),
        (
            "['a10','a9','a1'].sort((x,y)=>x.localeCompare(y,'en-u-kn'))",
            r#"["a1","a9","a10"]"#,
        ),
        (
            "['base','accent','case','variant'].map(sensitivity=>[['a','A'],['a','á'],['a','b'],['A','á']].map(([x,y])=>x.localeCompare(y,undefined,{sensitivity})))",
            "[[0,0,-1,0],[0,-1,-1,-1],[-1,0,-1,1],[-1,-1,-1,-1]]",
        ),
        (
            "['x','X','y'].sort(new Intl.Collator('en',{caseFirst:'upper'}).compare)",
            r#"["X","x","y"]"#,
        ),
        (
            "['X','x','y'].sort(new Intl.Collator('en').compare)",
            r#"["x","X","y"]"#,
        ),
        (
            "'a-b'.localeCompare('ab','en',{ignorePunctuation:true})",
            "0",
        ),
        ("'a-b'.localeCompare('ab')", "-1"),
        (
            "['中','文','阿'].sort((a,b)=>a.localeCompare(b,'zh'))",
            r#"["阿","文","中"]"#,
        ),
        (
            "['src/b.ts','src/a.ts','src/a/b.ts','src-x.ts','README.md','readme.txt','Cargo.toml','src/A.ts'].sort((a,b)=>a.localeCompare(b))",
            r#"["Cargo.toml","README.md","readme.txt","src-x.ts","src/a.ts","src/A.ts","src/a/b.ts","src/b.ts"]"#,
        ),
        (
            "['résumé','resume','Resume','rés','re'].sort(Intl.Collator('fr').compare)",
            r#"["re","rés","resume","Resume","résumé"]"#,
        ),
        ("'a'.localeCompare()", "-1"),
        ("'a'.localeCompare(null)", "-1"),
        (r#"'\u00e9'.localeCompare('e\u0301')"#, "0"),
        ("'a'.localeCompare('b', ['de', 'en'])", "-1"),
        ("'a'.localeCompare('b', [])", "-1"),
        (
            "'a'.localeCompare('b','not a locale')",
            r#""RangeError: Incorrect locale information provided""#,
        ),
        (
            "'a'.localeCompare('b',null)",
            r#""TypeError: Cannot convert undefined or null to object""#,
        ),
        ("'a'.localeCompare('b',5)", "-1"),
        ("Intl.getCanonicalLocales('EN-us')", r#"["en-US"]"#),
        ("String.prototype.localeCompare.length", "1"),
    ]);
}

#[test]
fn numbers_are_written_as_in_v8() {
    all_give(&[
        ("(1234567.5).toLocaleString()", r#""1,234,567.5""#),
        ("(1234567.5).toLocaleString('en-US')", r#""1,234,567.5""#),
        ("(1234567.891).toLocaleString('de')", r#""1.234.567,891""#),
        (
            "(1234567.891).toLocaleString('de-CH')",
            r#""1'234'567.891""#,
        ),
        ("(1234.5).toLocaleString('es')", r#""1234,5""#),
        ("(12345.5).toLocaleString('es')", r#""12.345,5""#),
        ("(1234567.5).toLocaleString('en-IN')", r#""12,34,567.5""#),
        ("(1234.5).toLocaleString('fr')", r#""1 234,5""#),
        ("(1234.5).toLocaleString('ar-EG')", r#""١٬٢٣٤٫٥""#),
        ("(-1234.5).toLocaleString('sv')", r#""−1 234,5""#),
        ("(1234.5).toLocaleString('pl')", r#""1234,5""#),
        ("(0.000001234).toLocaleString()", r#""0""#),
        ("(-0.0001).toLocaleString()", r#""-0""#),
        ("(-0).toLocaleString()", r#""-0""#),
        ("NaN.toLocaleString()", r#""NaN""#),
        ("(-Infinity).toLocaleString()", r#""-∞""#),
        (
            "123456789012345678901234567890n.toLocaleString()",
            r#""123,456,789,012,345,678,901,234,567,890""#,
        ),
        (
            "(1e21).toLocaleString()",
            r#""1,000,000,000,000,000,000,000""#,
        ),
        (
            "(1.005).toLocaleString('en',{maximumFractionDigits:2})",
            r#""1.01""#,
        ),
        (
            "(2.5).toLocaleString('en',{maximumFractionDigits:0})",
            r#""3""#,
        ),
        (
            "(-2.5).toLocaleString('en',{maximumFractionDigits:0})",
            r#""-3""#,
        ),
        (
            "(5).toLocaleString('en',{minimumFractionDigits:2})",
            r#""5.00""#,
        ),
        (
            "(1.23456).toLocaleString('en',{minimumFractionDigits:4})",
            r#""1.2346""#,
        ),
        (
            "(1.23456).toLocaleString(undefined,{minimumFractionDigits:1, maximumFractionDigits:2})",
            r#""1.23""#,
        ),
        (
            "(5).toLocaleString('en',{minimumIntegerDigits:2})",
            r#""05""#,
        ),
        (
            "(1234.5678).toLocaleString('en-US',{maximumSignificantDigits:3})",
            r#""1,230""#,
        ),
        (
            "(0.00123456).toLocaleString('en-US',{maximumSignificantDigits:3})",
            r#""0.00123""#,
        ),
        (
            "(5).toLocaleString('en-US',{minimumSignificantDigits:3})",
            r#""5.00""#,
        ),
        (
            "(1234567).toLocaleString('en',{useGrouping:false})",
            r#""1234567""#,
        ),
        (
            "(1234.5).toLocaleString('en',{useGrouping:'min2'})",
            r#""1234.5""#,
        ),
        (
            "(0.256).toLocaleString('en-US',{style:'percent'})",
            r#""26%""#,
        ),
        (
            "(0.2567).toLocaleString('en-US',{style:'percent',maximumFractionDigits:1})",
            r#""25.7%""#,
        ),
        (
            "(0.07).toLocaleString('en-US',{style:'percent',minimumFractionDigits:2})",
            r#""7.00%""#,
        ),
        (
            "(0.256).toLocaleString('de',{style:'percent'})",
            r#""26 %""#,
        ),
        (
            "(-0.256).toLocaleString('tr',{style:'percent'})",
            r#""-%26""#,
        ),
        (
            "(12.5).toLocaleString('fr',{style:'percent'})",
            r#""1 250 %""#,
        ),
        (
            "(1234.5).toLocaleString('en-US',{style:'currency',currency:'USD'})",
            r#""$1,234.50""#,
        ),
        (
            "(-1234.567).toLocaleString('en-US',{style:'currency',currency:'EUR'})",
            r#""-€1,234.57""#,
        ),
        (
            "(0.00012).toLocaleString('en-US',{style:'currency',currency:'usd'})",
            r#""$0.00""#,
        ),
        (
            "(5).toLocaleString('en-US',{style:'currency',currency:'USD',minimumFractionDigits:0})",
            r#""$5""#,
        ),
        (
            "(5).toLocaleString('en-US',{style:'currency',currency:'USD',maximumFractionDigits:0})",
            r#""$5""#,
        ),
        (
            "(1234.5).toLocaleString('en',{style:'currency',currency:'JPY'})",
            r#""¥1,235""#,
        ),
        (
            "(1234.5).toLocaleString('en',{style:'currency',currency:'CHF'})",
            r#""CHF 1,234.50""#,
        ),
        (
            "(0.0123).toLocaleString('en-US',{style:'currency',currency:'USD',minimumFractionDigits:4})",
            r#""$0.0123""#,
        ),
        (
            "[1234,12345,999999,1.5e6,1e9,950,0.5,99950,1234567,0,12.34,999.9,1e15,0.0456,-1500,1e18].map(n=>n.toLocaleString('en-US',{notation:'compact'}))",
            r#"["1.2K","12K","1M","1.5M","1B","950","0.5","100K","1.2M","0","12","1K","1000T","0.046","-1.5K","1,000,000T"]"#,
        ),
        (
            "[1234567,999,1000].map(n=>n.toLocaleString('en-US',{notation:'compact', maximumFractionDigits:2}))",
            r#"["1.23M","999","1K"]"#,
        ),
        (
            "[1,0,-1,-0,0.0001].map(n=>['auto','always','never','exceptZero','negative'].map(signDisplay=>n.toLocaleString('en',{signDisplay})))",
            r#"[["1","+1","1","+1","1"],["0","+0","0","0","0"],["-1","-1","1","-1","-1"],["-0","-0","0","0","0"],["0","+0","0","0","0"]]"#,
        ),
        (
            "new Intl.NumberFormat('en-US').format(1234.5)",
            r#""1,234.5""#,
        ),
        (
            "Intl.NumberFormat('de', {minimumFractionDigits: 2}).format(1234.5)",
            r#""1.234,50""#,
        ),
        (
            "[1,2,3].map(new Intl.NumberFormat('en', {style:'percent'}).format)",
            r#"["100%","200%","300%"]"#,
        ),
        ("[1234.5, 2].toLocaleString()", r#""1,234.5,2""#),
        ("Object.prototype.toString.call(Intl)", r#""[object Intl]""#),
        ("typeof Intl.NumberFormat", r#""function""#),
        (
            "(5).toLocaleString('en',{minimumFractionDigits:3,maximumFractionDigits:1})",
            r#""RangeError: maximumFractionDigits value is out of range.""#,
        ),
        (
            "(5).toLocaleString('en',{maximumFractionDigits:200})",
            r#""RangeError: maximumFractionDigits value is out of range.""#,
        ),
        (
            "(5).toLocaleString('en',{style:'currency'})",
            r#""TypeError: Currency code is required with currency style.""#,
        ),
        ("Number.prototype.toLocaleString.length", "0"),
    ]);
}

#[test]
fn what_is_not_supported_says_so() {
    all_give(&[
        (
            "(5).toLocaleString('de', { style: 'currency', currency: 'EUR' })",
            r#""RangeError: divisi formats no numbers with currencies in the language de: format the parts in the script""#,
        ),
        (
            "(5).toLocaleString('en', { style: 'unit', unit: 'liter' })",
            r#""RangeError: divisi formats no numbers with units in the language en: format the parts in the script""#,
        ),
        ("typeof Intl.DateTimeFormat", r#""undefined""#),
    ]);
}
