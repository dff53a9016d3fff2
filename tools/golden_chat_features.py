"""Small templates, one for every corner of the Jinja subset, rendered by Jinja2 for golden_chat.py."""
import json

MESSAGES = [
    {"role": "system", "content": "  Be <b>nice</b> & \"kind\".\n"},
    {"role": "user", "content": "Größe 🦙 don't", "n": 3, "x": 1.5, "none": None, "yes": True, "tags": ["b", "A", "c", "a"]},
    {"role": "tool", "content": "", "items": {"z": 1, "B": [1, 2.0, "q'\"", None], "a": {"k": False}}, "n": -7},
]

TEMPLATES = r"""
{{ messages|length }}|{{ messages[0].role }}|{{ messages[-1]['role'] }}|{{ messages[9] }}|{{ messages.nothing }}
{{ messages[1].n }} {{ messages[1].x }} {{ messages[1].none }} {{ messages[1].yes }} {{ messages[1].tags }}
{{ messages[2]['items'] }}|{{ messages[2].n }}|{{ messages[2] }}
{{ messages[2]['items']|tojson }}
{{ messages[2]['items']|tojson(indent=2) }}
{{ messages[1]|tojson(indent=4, sort_keys=True, ensure_ascii=True) }}
{{ messages[1]|tojson(separators=(',', ':')) }}
{{ 'a\tb\x00\x1f\x7f é 🦙 </script>'|tojson }}{{ [] | tojson }}{{ {} | tojson(indent=1) }}{{ [[], {}]|tojson(indent='--') }}
{{ {'a': 1, 2: 'b', true: none}|tojson }}
{{ 1.0 }} {{ 0.1 }} {{ 1e16 }} {{ 1e15 }} {{ 123456789.125 }} {{ 1e-5 }} {{ 0.0001 }} {{ 1.5e300 }} {{ -0.0 }} {{ 3.14159265358979 }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }}
{{ 1 + 2 * 3 - 4 }} {{ (1 + 2) * 3 }} {{ 'a' ~ 1 ~ none ~ 2.0 ~ true }} {{ 'ab' * 3 }} {{ [1] * 2 + [3] }} {{ 1 + true }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' == 1 }} {{ none == false }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }}
{{ 'a' in 'cat' }} {{ 'x' not in ['x'] }} {{ 'k' in {'k': 1} }} {{ 2 in (1, 2) }} {{ 'q' in nothing }} {{ not 1 in [1] }}
{{ 1 if false }}|{{ 1 if false else 2 }}|{{ 'a' or 'b' }}|{{ '' or 'b' }}|{{ 0 and x.y.z }}|{{ none and 1 }}|{{ not '' }}
{{ 'abcdef'[1:3] }} {{ 'abcdef'[::-1] }} {{ 'abcdef'[-2:] }} {{ 'abcdef'[:-1] }} {{ 'abcdef'[::2] }} {{ 'aé🦙b'[1:3] }} {{ 'aé🦙b'[2] }} {{ 'abc'[5:] }}|{{ 'abc'[-9:2] }}|{{ 'abc'[2:1] }}|{{ 'abcdef'[4:1:-2] }}
{{ [1,2,3,4,5][1:-1] }} {{ [1,2,3][::-1] }} {{ (1,2,3)[1:] }} {{ [][:1] }} {{ [1,2,3][-10:10:2] }} {{ (1,) }} {{ () }} {{ [1,2,3][:2147483648:4611686018427387904] }}
{{ "it's" }} {{ ["it's", 'say "x"', "both ' \"", 'a\nb\\', 'é\x00\u200b\xa0'] }}
{{ 'x'.upper() }}{{ 'ÄÖß'.lower() }}{{ 'hELLO wORLD'.capitalize() }} {{ "they're bill's".title() }} {{ "they're bill's a-b (c"|title }} {{ 'hELLO'|capitalize }}
[{{ '  a b  '.strip() }}] [{{ '  a '.lstrip() }}] [{{ ' a  '.rstrip() }}] [{{ 'xxaxx'.strip('x') }}] [{{ '--a-b--'.lstrip('-') }}] [{{ ' a '|trim }}] [{{ 'xax'|trim('x') }}] [{{ '\u3000\x1c a \u2003'|trim }}]
{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.split(' ', 1) }} {{ 'a b c d'.split(none, 2) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ''.split(',') }} {{ ''.split() }} {{ 'a</t>b</t>c'.split('</t>')[-1] }}
{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('=') }} {{ 'abc'.rpartition('=') }}
{{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a\nb\u2028c'.splitlines(true) }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'bc')) }} {{ 'abcabc'.find('c') }} {{ 'abcabc'.rfind('b') }} {{ 'é🦙x'.find('x') }} {{ 'abc'.find('z') }} {{ 'aaaa'.count('aa') }} {{ 'abc'.count('') }} {{ 'abc'.index('b') }}
{{ 'aXbXc'.replace('X', '--') }} {{ 'aXbXc'.replace('X', '', 1) }} {{ 'ab'.replace('', '.') }} {{ 'aXb'|replace('X', 'Y') }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ 123|replace('2', 'x') }}
{{ '-'.join(['a', 'b']) }} {{ [1, none, 'x']|join('-') }} {{ messages|join(', ', attribute='role') }} {{ 'abc'|join('.') }}
{{ '12'.isdigit() }} {{ ''.isdigit() }} {{ 'ab'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' \t'.isspace() }} {{ 'AB1'.isupper() }} {{ 'aB'.islower() }} {{ '1'.isupper() }}
{{ '42'|int }} {{ '4.9'|int }} {{ 'x'|int }} {{ 'x'|int(7) }} {{ 3.99|int }} {{ ' 12 '|int }} {{ '1.5'|float }} {{ 'x'|float }} {{ 2|float }} {{ true|int }} {{ -3|abs }} {{ none|int }}
{{ 2.5|round }} {{ 3.5|round }} {{ 2.567|round(2) }} {{ 2.1|round(0, 'ceil') }} {{ 2.9|round(method='floor') }} {{ 7|round }}
{{ 'a\nb\n\nc'|indent }}|{{ 'a\nb\n'|indent(2, true) }}|{{ 'a\n\nb'|indent(2, blank=true) }}|{{ 'a\nb'|indent('> ') }}|{{ ''|indent }}|{{ 'a\n \n'|indent(1, true, true) }}
{{ [3, 1, 2]|sort }} {{ messages[1].tags|sort }} {{ messages[1].tags|sort(case_sensitive=true) }} {{ [1, 2]|sort(reverse=true) }} {{ messages|sort(attribute='role')|map(attribute='role')|list }}
{{ messages[2]['items']|dictsort }} {{ {'b': 1, 'A': 2}|dictsort(true) }} {{ {'b': 1, 'A': 2}|dictsort(by='value', reverse=true) }}
{{ ['a', 'A', 'b']|unique|list }} {{ [1, 2, 1]|unique|list }} {{ [3, 1]|min }} {{ ['b', 'A']|max }} {{ [1, 2.5]|sum }} {{ messages[1:]|sum(attribute='n') }} {{ [1, 2, 3]|reverse|list }} {{ 'abc'|reverse }}
{{ [1, 2, 3]|first }} {{ 'xyz'|last }} {{ []|first }}| {{ 'ab'|list }} {{ {'a': 1}|list }} {{ {'a': 1}.keys()|list }} {{ {'a': 1}.values()|list }} {{ {'a': 1}.items()|list }} {{ {'a': 1}|items|list }} {{ nothing|items|list }}
{{ messages|map(attribute='content')|map('trim')|list }} {{ [1, 2]|map('string')|list }} {{ messages|map(attribute='n', default=0)|list }} {{ messages|map(attribute='items.a')|list|length }}
{{ [1, 0, 2]|select|list }} {{ [1, 2, 3]|select('odd')|list }} {{ [1, 2, 3]|reject('gt', 1)|list }} {{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ messages|selectattr('n')|map(attribute='n')|list }} {{ messages|rejectattr('n', 'defined')|map(attribute='role')|list }} {{ messages|selectattr('role', 'in', ['tool', 'user'])|list|length }}
{{ none|select|list }} {{ none|map('int')|list }} {{ x|default('d') }} {{ none|default('d') }} {{ none|default('d', true) }} {{ ''|d('e', boolean=true) }} {{ x|default }}| {{ (x.y is defined) if x is defined else 'no x' }}
{{ x is defined }} {{ x is undefined }} {{ none is none }} {{ x is none }} {{ 'a' is string }} {{ 1 is number }} {{ true is number }} {{ true is integer }} {{ 1 is integer }} {{ 1.0 is float }} {{ true is boolean }} {{ {} is mapping }} {{ [] is sequence }} {{ 'a' is sequence }} {{ {} is sequence }} {{ 1 is iterable }} {{ x is iterable }} {{ x is sequence }} {{ range is callable }}
{{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is eq 1 }} {{ 1 is lt 2 }} {{ 'a' is in ['a'] }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ none is sameas none }} {{ 'A' is upper }} {{ 'a' is not lower }} {{ x is not defined }} {{ 2 is ge(2) and 3 is not none }}
{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.cycle('a', 'b') }}{{ loop.depth }} {% endfor %}
{% for m in messages %}{{ loop.previtem.role if not loop.first }}<{{ m.role }}>{{ loop.nextitem.role if loop.nextitem is defined }}{% if loop.changed(m.n) %}!{% endif %} {% endfor %}
{% for a in [1,2,3,4] if a is even %}{{ loop.index }}:{{ a }}{% if not loop.last %}, {% endif %}{% else %}none{% endfor %} {% for a in [] %}x{% else %}none{% endfor %} {% for a in x %}x{% else %}none{% endfor %}
{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}{% for k in {'a': 1} %}{{ k }}{% endfor %}{% for c in 'aé' %}[{{ c }}]{% endfor %}{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %} {{ range(5)|list }} {{ range(2, 8, 3)|list }} {{ range(3, 0, -1)|list }}
{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}
{% set ns = namespace(n=0, s='') %}{% for i in [1, 2, 3] %}{% set ns.n = ns.n + i %}{% set ns.s = ns.s ~ i %}{% endfor %}{{ ns.n }} {{ ns.s }} {{ ns.other is defined }} {{ ns is mapping }}
{% set ns = namespace() %}{% set ns.found = false %}{% for m in messages[::-1] %}{% if not ns.found and m.role == 'user' %}{% set ns.found = loop.index0 %}{% endif %}{% endfor %}{{ ns.found }}
{% set a, b = 1, 2 %}{{ a }}{{ b }} {% set t = 1, 2 %}{{ t }} {% set c %}text {{ a }}{% endset %}[{{ c }}] {% set d | upper | replace('T', '-') %}text{% endset %}{{ d }} {% set e = {'k': [1, {'z': 2}]} %}{{ e.k[1].z }}{{ e.k.1.z }}
{% macro m(a, b=2, c='x') %}({{ a }},{{ b }},{{ c }}){% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m(b=1, a=2) }}{{ m() }}{{ m(1)|length }}{{ m('a') ~ 'b' }}
{% macro outer(n) %}{% if n > 0 %}{{ n }}{{ outer(n - 1) }}{% endif %}{% endmacro %}{{ outer(3) }}{% set v = 'late' %}{% macro see() %}{{ v }}{% endmacro %}{{ see() }}{% set v = 'later' %}{{ see() }}
{% macro join(list) %}{%- for x in list -%}{{ x }}{{ ', ' if not loop.last }}{%- endfor -%}{% endmacro %}{{ join([1, 2, 3]) }}
{% filter upper %}abc {{ 'd' }}{% endfilter %} {% filter trim|replace('a', 'b') %}  aa  {% endfilter %} {% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }} {% raw %}{{ x }}{% endraw %} {% generation %}gen {{ 1 }}{% endgeneration %}
{{ dict(a=1, b='x') }} {{ dict({'a': 1}, b=2) }} {{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 5) }} {{ {'a': 1}['items'] is defined }} {{ messages[2].items is callable }}
{{ 'a' 'b' "c" }} {{ '\n\t\\\'\"\x41\u00e9\101\q' }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1_000 }} {{ True }} {{ None }} {{ none }} {{ [1, 2,] }} {{ {'a': 1,} }}
{{ '<b>'|safe + '<i>' }} {{ '<b>' + '<i>'|safe }} {{ '<b>'|safe ~ '<i>' }} {{ ('<b>'|safe + "'\"&") + '>' }}
{{ -messages[2].n }} {{ +3 }} {{ - -3 }} {{ not true == false }} {{ -3|abs }} {{ (-3)|string|length }} {{ 1 - -1 }}
{{ strftime_now('%d %b %Y %H') }} {{ bos_token }}{{ eos_token ~ unk_token }} {{ tools is none }} {{ add_generation_prompt }} {{ documents is defined }}
{%- if true -%}  a  {%- endif %}  b
  {% if true %}  c{% endif +%}
{#- comment -#}  d {#+ keep +#}
{%+ if true %}e{% endif %}
{{- '  f' -}}   {{ "\n" }}
{% set a = 1 %}   {% set b = 2 %}{{ a }}
  {% for i in [1, 2] %}
  - {{ i }}
  {% endfor %}
end {# a #} {# b -#}   x{% raw %}  {{ }} {% endraw -%}   y
  {%- raw -%}  z  {%- endraw +%}
q
{{ [1, [2, (3, 4)], {'a': {'b': none}}] }} {{ ('a', 1.0) }} {{ 'é' * 2 }} {{ 10 * '' }}|{{ [] ~ {} }}
{{ messages[0].content|trim|upper }} {{ messages[0]['content'][2:4] }} {{ (messages[0].content|trim).split('<b>')[0] }} {{ messages[0].content.strip().startswith('Be') }}
{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}{{ rest|length }} {% if x %}1{% elif messages %}2{% else %}3{% endif %}
{% set sys = '' %}{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:2] %}{% set sys = messages[0]['content'] %}{% else %}{% set rest = messages %}{% endif %}{% for m in rest %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns must alternate') }}{% endif %}{% if loop.index0 == 0 and sys %}{% set content = '<<SYS>>\n' + sys.strip() + '\n<</SYS>>\n\n' + m['content'] %}{% else %}{% set content = m['content'] %}{% endif %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}
{{ bos_token }}{% for m in messages if m.role != 'system' %}{% if m.role == 'user' %}{{ '[INST] ' ~ m.content ~ ' [/INST]' }}{% elif m.role == 'assistant' %}{{ m.content ~ eos_token }}{% else %}{{ '[' ~ m.role|upper ~ '_RESULTS] ' ~ m.content ~ loop.index ~ '[/' ~ m.role|upper ~ '_RESULTS]' }}{% endif %}{% endfor %}
{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}{% endfor %}
{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns must alternate') }}{% endif %}{% endfor %}
{{ 'a b  c '.split(none, 1) }} {{ 'straße'.upper() }} {{ 'ßx'.capitalize() }} {{ 'a\u2028'|indent(2, true) }}| {{ 'a\r'|indent }}| {{ ''|indent(2, true) }}| {{ [nothing] }} {{ true|abs }} {{ true|round(1) }}
{{ -6.0 % 3 }} {{ 6.0 % -3 }} {{ -7.5 // 2 }} {{ 0.0 // -3 }} {{ -0.001|round(2, 'ceil') }} {{ 7.25 % -2.5 }} {{ 1e17 // 3 }} {{ 'x'|int('d') }}
{{ messages[1].none[1:] }}
{{ messages[1].n|indent }}
{{ nothing|int }}
{{ [1] in {'a': 1} }}
{{ raise_exception('no') }}
{{ undefined_thing.attribute }}
{{ undefined_thing() }}
{{ 1 + 'a' }}
{{ 'a' + none }}
{{ messages.append(1) }}
{{ {'a': 1}.update({'b': 2}) }}
{{ 1 // 0 }}
{{ nothing|tojson }}
{{ nothing + 'x' }}
{{ 5|length }}
{{ 'x'|no_such_filter }}
{{ 'x' is no_such_test }}
{% for x in 5 %}{% endfor %}
{% set a, b = [1] %}
{% set messages.x = 1 %}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(z=2) }}
{{ [1, 'a']|sort }}
{{ range(100001)|list }}
{{ 'a' < 1 }}
{{ 1 in 'abc' }}
{% endif %}
{% if true %}
{{ (1 }}
{{ 1 }
{{ 'abc }}
{% nonsense %}
{% set 1 = 2 %}
{{ a b }}
{{ [1, 2 }}
{# never ends
{% raw %} never ends
{% break %}
{{ 1 is odd is even }}
{{ }}
{{ 'unclosed \' }}
""".strip("\n").split("\n")


def group(lines):
    """Lines that belong together: a run of those about white space is one template."""
    first = lines.index("{%- if true -%}  a  {%- endif %}  b")
    last = lines.index("q")
    yield from lines[:first]
    yield "\n".join(lines[first:last + 1]) + "\n"
    yield "\n".join(lines[first:last + 1]).replace("\n", "\r\n") + "\n\n"
    yield from lines[last + 1:]


def write(path, made_with, compile_template, tokens):
    rows = []
    for source in group(TEMPLATES):
        try:
            text = compile_template(source).render(
                messages=MESSAGES, tools=None, documents=None, add_generation_prompt=True, **tokens)
        except Exception:
            text = None
        rows.append([source, text])
    with open(path, "w") as f:
        f.write('{"made_by": "tools/golden_chat.py", "made_with": %s,\n "messages": %s,\n "cases": [\n'
                % (json.dumps(made_with), json.dumps(MESSAGES)))
        f.write(",\n".join(json.dumps(row) for row in rows))
        f.write("\n]}\n")
