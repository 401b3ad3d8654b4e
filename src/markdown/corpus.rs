//! Replies as models write them, and some that nobody should.

/// Name and text.
pub(crate) const CORPUS: &[(&str, &str)] = &[
    (
        "plain",
        "The capital of France is **Paris**.\n\nIt lies on the Seine, and has been the capital since 987.",
    ),
    (
        "headings",
        "# Plan\n\n## First\nDo *this*.\n\n### Then ###\nThat.\n\nSetext one\n==========\n\nSetext two\n---\nend\n",
    ),
    (
        "bullets",
        "Things to pack:\n\n- socks\n- a **warm** coat\n- books\n  - one long\n  - one short\n    - and a comic\n- tea\n\nThat is all.",
    ),
    (
        "loose list",
        "1. First, measure.\n\n   Twice, if you can.\n\n2. Then cut.\n\n3. Then sand it:\n\n   - along the grain\n   - never across\n\nDone.",
    ),
    ("numbers go on", "7. seven\n8. eight\n1. nine, as written wrong\n\nand\n\n1) other\n2) marks"),
    ("tasks", "- [ ] buy milk\n- [x] call *Anna*\n- [ ] write\n  - [x] outline\n  - [ ] draft\n"),
    (
        "rust code",
        "Here is a function:\n\n```rust\n/// Adds two numbers.\nfn add(a: i32, b: i32) -> i32 {\n    a + b // no overflow check\n}\n```\n\nCall it with `add(1, 2)`.",
    ),
    (
        "python code",
        "```python\nimport math\n\ndef area(r: float) -> float:\n    \"\"\"Area of a circle.\"\"\"\n    return math.pi * r ** 2\n\nprint(f\"{area(2):.2f}\")\n```\nThis prints `12.57`.",
    ),
    (
        "code in a list",
        "1. Install it:\n   ```bash\n   pip install requests\n   ```\n2. Use it:\n\n   ```python\n   import requests\n\n   r = requests.get(\"https://example.org\")\n   ```\n\n3. Done.",
    ),
    ("code in a nested list", "- outer\n  - inner\n    ```js\n    const x = 1;\n    ```\n  - next\n- last"),
    ("tildes", "~~~python\nx = 1\n```\nstill code\n~~~\nafter"),
    ("a longer fence", "````markdown\n```rust\nfn a() {}\n```\n````\n"),
    ("cut inside a fence", "Sure:\n\n```rust\nfn main() {\n    println!(\"hel"),
    ("cut inside a fence's line", "Sure:\n\n```ru"),
    ("cut inside emphasis", "This is **very impor"),
    ("cut inside a link", "See [the manual](https://doc.rust-lang.org/std/stri"),
    ("cut inside a table", "| a | b |\n|---|---|\n| 1 | 2 |\n| 3"),
    ("cut before a table is one", "| name | age |\n|---"),
    ("indented code", "So:\n\n    let x = 1;\n    let y = 2;\n\n    let z = 3;\n\nthen text"),
    (
        "table",
        "| Language | Year | Typing |\n|:---|---:|:---:|\n| C | 1972 | static |\n| Python | 1991 | dynamic |\n| Rust | 2015 | static |\n\nAll are still used.",
    ),
    (
        "table with marks",
        "| Method | What | Cost |\n| --- | --- | --- |\n| `push` | adds **one** at the end | O(1) |\n| `insert(0, x)` | adds at the *front* | O(n) |\n| `a\\|b` | a [link](https://a.b) | – |\n",
    ),
    (
        "wide table",
        "| Option | Description | Example |\n|---|---|---|\n| `--verbose` | Prints everything that is done, a line at a time, with how long each of it took | `tool --verbose build` |\n| `--quiet` | Prints nothing at all unless something went wrong | `tool -q` |\n",
    ),
    (
        "many columns",
        "| a | b | c | d | e | f | g | h | i | j |\n|-|-|-|-|-|-|-|-|-|-|\n| one | two | three | four | five | six | seven | eight | nine | ten |\n",
    ),
    ("table without outer bars", "name | value\n--- | ---\nx | 1\ny | 2\n"),
    ("table in a list", "- Results:\n\n  | k | v |\n  |---|---|\n  | a | 1 |\n\n- end"),
    ("table in a quote", "> | k | v |\n> |---|---|\n> | a | long enough to be wrapped somewhere |\n"),
    ("ragged table", "| a | b | c |\n|---|---|---|\n| 1 |\n| 1 | 2 | 3 | 4 |\n|  |  |  |\n"),
    ("table of heads only", "| a | b |\n|---|---|\n"),
    ("table after text", "The values:\n| a | b |\n|---|---|\n| 1 | 2 |\nand more text"),
    (
        "quotes",
        "> To be, or not to be,\nthat is the question.\n>\n> > Nested\n> > twice\n>\n> - with a list\n> - of two\n\nShakespeare",
    ),
    (
        "alerts",
        "> [!NOTE]\n> Useful to know.\n\n> [!TIP]\n> Do *it* better.\n\n> [!CAUTION]\n> This deletes files.\n> - all of them",
    ),
    ("rules", "one\n\n---\n\ntwo\n\n* * *\n\nthree\n___\n"),
    (
        "links",
        "See [Rust](https://www.rust-lang.org \"The site\"), <https://crates.io>, <me@example.org> and https://docs.rs.",
    ),
    (
        "reference links",
        "Both [the book][book] and [the reference] are good; [this][nothing] is not.\n\nMore text.\n\n[book]: https://doc.rust-lang.org/book/\n[the reference]: <https://doc.rust-lang.org/reference/>\n  \"A title\"\n",
    ),
    ("definition first", "[a]: /first\n\n[a] and [b]\n\n[b]: /second\n"),
    ("definition with a title that never ends", "x\n\n[a]: /u\n\"title\nmore\"\n\n[a]\n"),
    ("image", "![A cat on a mat](https://example.org/cat.png) and text"),
    (
        "footnotes",
        "Water boils at 100 °C[^sea], or less[^high].\n\n[^sea]: At sea level.\n[^high]: On a mountain:\n    about 90 °C.\n\nAfter.",
    ),
    ("math inline", "Energy is $E = mc^2$, and $\\alpha \\leq \\frac{1}{2}$; it costs $5 and $10."),
    (
        "math display",
        "The roots are\n\n$$x = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}$$\n\nand $$\\sum_{i=1}^n i = \\frac{n(n+1)}{2}$$ holds.",
    ),
    (
        "math as models write it",
        "We have \\( a^2 + b^2 = c^2 \\), so\n\\[\nc = \\sqrt{a^2 + b^2}\n\\]\nand `\\(this\\)` is code.\n\n- \\(x_1 = 3\\)\n- \\[ y \\in \\mathbb{R} \\]",
    ),
    (
        "math that cannot be said",
        "A matrix: $$\\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}$$ and $\\undefined{x}$.",
    ),
    (
        "html",
        "A <b>bold</b> word, a line<br>break, H<sub>2</sub>O.\n\n<div>\n<p>block</p>\n</div>\n\n<!-- note -->\n\nend",
    ),
    ("details", "<details>\n<summary>More</summary>\n\nHidden **text**.\n\n</details>\n"),
    (
        "entities and escapes",
        "5 &lt; 6 &amp;&amp; 7 &gt; 6, \\*not emphasis\\*, a\\\nbreak, &copy; &#x41; C:\\\\path\\_x",
    ),
    ("hard breaks", "Roses are red,  \nviolets are blue,\\\nsugar is sweet\nand so are you."),
    ("code spans", "Use `` a`b `` and ` x ` and `two\nlines` and `**not bold**`."),
    (
        "emphasis in words",
        "un*frigging*believable, snake_case_name, __init__, **bold *and italic* text**, ***both***, ~~gone~~ ~one~",
    ),
    (
        "chinese",
        "# 标题\n\n这是一个**重要**的段落，包含很多汉字，因此必须在适当的地方换行。\n\n- 第一项\n- 第二项：`代码`\n\n| 名称 | 值 |\n|---|---|\n| 温度 | 二十五度 |\n",
    ),
    (
        "japanese",
        "東京は日本の首都です。「こんにちは」と言います。\n\n1. 寿司\n2. ラーメン（とても*美味しい*）\n\n> 引用文です。\n",
    ),
    ("korean", "서울은 **대한민국**의 수도입니다.\n\n- 하나\n- 둘\n"),
    ("arabic", "# عنوان\n\nهذا نص **مهم** باللغة العربية.\n\n- أولا\n- ثانيا\n\n`code` داخل النص."),
    ("hebrew", "שלום **עולם**.\n\n> ציטוט\n\n1. אחת\n2. שתיים\u{200F}\n"),
    ("khmer and thai", "ភាសា\u{200B}ខ្មែរ\u{200B}ស្អាត\n\n**สวัสดี**ครับ ภาษาไทยไม่มีช่องว่าง\n"),
    (
        "emoji",
        "Nice! 🎉 **👩\u{200D}🚀 space** ⚠️ one ❤️ two 1️⃣ three 🏳️\u{200D}🌈\n\n- ✅ done\n- 🇫🇷 Paris\n\n| 😀 | b |\n|---|---|\n| 👍🏽 | 🚀 |\n",
    ),
    ("carriage returns", "# Title\r\n\r\n- a\r\n- b\r\n\r\n```\r\ncode\r\n```\r\nend\r\n"),
    ("tabs", "-\ta\n-\tb\n\n\tcode\twith tabs\n\n```\n\tindent\n```\n"),
    ("blank lines", "\n\n\nbegins late\n\n\n\nand ends late\n\n\n"),
    ("lazy lines", "> quoted\nlazily\n- item\nlazily too\n\n- a\n\n  b\n\n\n- c"),
    ("hr or emphasis", "text\n***\n***bold***\n\ntext\n---x\n\n> q\n---\n"),
    (
        "hostile nesting",
        "> > > > > > > > > > > > > > > > > > > > > > > > > > > > > > > > > > > > deep\n\n- - - - - - - - - - - - - - - - - - - - - - - deep\n\n[[[[[[[[[[[[a](b)](c)](d)\n\n**__**__**__*_*_*_",
    ),
    (
        "hostile controls",
        "a\u{1B}[2J **b\u{202E}c** \u{9B}x `\u{7}` [l\u{2066}](x\u{1B}y)\n\n```\u{1B}\n\u{202E}code\n```\n| \u{1B} | \u{202E} |\n|---|---|\n",
    ),
    ("hostile table", "|a|b|\n|-|-|\n|`x|y`|**z|w**|\n|\\||\\\\||\n|[a|b](c)|$x|y$|\n"),
    (
        "a link that wraps",
        "[https://example.org/a/very/long/address/that/does/not/fit/into/any/narrow/row](https://example.org/a/very/long/address/that/does/not/fit/into/any/narrow/row)",
    ),
    ("a thinking reply", "<think>\nLet me see…\n\n- one\n- two\n</think>\n\nThe answer is **42**."),
    ("json", "```json\n{\n  \"name\": \"x\",\n  \"list\": [1, 2.5, true, null]\n}\n```"),
    ("diff", "```diff\n- old line\n+ new line\n  same\n```\nApplied."),
    ("shell session", "Run:\n```console\n$ git log --oneline | head -3\nabc123 first\n```\nthen `cd ..`"),
    (
        "recipe",
        "## Pancakes\n\n**Serves:** 4\n**Time:** 20 min\n\n### Ingredients\n- 2 eggs\n- 250 ml milk\n- 120 g flour\n\n### Steps\n1. **Mix** everything.\n2. Rest for 10 minutes.\n3. Fry:\n   - 1 min one side\n   - 30 s the other\n\n---\n*Enjoy!*",
    ),
    (
        "letter",
        "Dear Sir or Madam,\n\nI write to *complain*.\nThe first line.\nThe second line.\n\nYours,\nA. Customer",
    ),
];

#[test]
fn there_are_sixty_of_them() {
    assert!(CORPUS.len() >= 60, "{}", CORPUS.len());
}
