import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { compileChatTemplate } from '../../src-main/engine/text/chat-template.ts';
import { qwenTemplate } from './models.ts';

const render = (source: string, variables: Record<string, unknown> = {}) =>
  compileChatTemplate(source)({ messages: [], ...variables });

describe('a chat template', () => {
  test('has what transformers gives it', () => {
    assert.equal(
      render('{{ range(3) | join("-") }} {{ range(5, 0, -2) | join("") }} {{ none is none }}'),
      '0-1-2 531 true',
    );
    assert.equal(
      render('{% for m in messages -%}\n  {{ m.content }}\n  {%- endfor %}', {
        messages: [{ content: 'a' }, { content: 'b' }],
      }),
      'ab',
    );
  });

  test('sees a clock that stands still', () => {
    assert.equal(render('{{ strftime_now("%d %b %Y, %A %H:%M %%") }}'), '26 Jul 2024, Friday 00:00 %');
  });

  test('refuses a conversation as data, not as a broken file', () => {
    assert.throws(
      () => render('{{ raise_exception("roles must alternate") }}'),
      (error) =>
        error instanceof ParetuneError && error.code === 'bad-data' && /roles must alternate/.test(error.message),
    );
  });

  const bombs: Record<string, string> = {
    'nested loops':
      '{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}',
    'a long range': '{% for a in range(1000000000) %}x{% endfor %}',
    'an endless range': '{% for a in range(0, 999999999999999, 0.001) %}x{% endfor %}',
    'a string that doubles':
      '{% set n = namespace(s="x") %}{% for a in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}',
    'a list that doubles':
      '{% set n = namespace(s=[1]) %}{% for a in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}',
    'a large output': `{% for a in range(9999) %}${'x'.repeat(1000)}{% endfor %}`,
    'copies of a large string': `{% set s = "${'x'.repeat(100_000)}" %}{% for a in range(9999) %}{% set t = s | upper %}{% endfor %}`,
    'replacements that multiply':
      '{% set n = namespace(s="aa") %}{% for a in range(99) %}{% set n.s = n.s | replace("a", n.s) %}{% endfor %}',
    'loops over a large object': `{% set o = {${Array.from({ length: 9_999 }, (_, i) => `"${i}": 1`)}} %}{% for a in range(9999) %}{% for k in o %}{% endfor %}{% endfor %}`,
    'a deep macro': '{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}',
    'branching macros':
      '{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}',
    'deep brackets': `{{ ${'('.repeat(100_000)} }}`,
    'deep blocks': '{% if 1 %}'.repeat(50_000),
    'a huge indent': '{{ [[1]] | tojson(indent=100000000) }}',
    'an endless source': 'x'.repeat(1_000_001),
  };
  for (const [what, source] of Object.entries(bombs)) {
    test(`ends ${what} with one error in bounded time`, () => {
      // the processor's time, not the clock's: other jobs of the machine do not count
      const before = process.threadCpuUsage();
      assert.throws(
        () => render(source),
        (error) => error instanceof ParetuneError && error.code === 'bad-file' && error.message.length < 500,
      );
      const { user, system } = process.threadCpuUsage(before);
      const seconds = (user + system) / 1e6;
      assert.ok(seconds < 5, `took ${seconds} s`);
    });
  }

  test('has no way to the host', () => {
    for (const source of [
      '{{ messages.constructor }}',
      '{{ "".constructor.constructor("return process")() }}',
      '{{ process.exit() }}',
      '{{ range.constructor("return 1")() }}',
      '{{ ({}).__proto__.polluted }}',
      '{% set messages.__proto__.x = 1 %}',
    ]) {
      let text = '';
      try {
        text = render(source);
      } catch (error) {
        assert.ok(error instanceof ParetuneError, String(error));
      }
      assert.equal(text, '', source);
    }
    assert.equal(({} as Record<string, unknown>).x, undefined);
  });

  test('that is damaged renders or ends in one ParetuneError', () => {
    const source = qwenTemplate;
    const variables = {
      messages: [
        { role: 'user', content: 'a' },
        { role: 'tool', content: 'b' },
      ],
      tools: null,
    };
    fc.assert(
      fc.property(
        fc.nat(source.length - 1),
        fc.nat(40),
        fc.constantFrom('', '{', '}', '%}', '{{', "'", '(', '[', '|', '.', 'endif'),
        (at, length, text) => {
          try {
            render(source.slice(0, at) + text + source.slice(at + length), variables);
          } catch (error) {
            assert.ok(error instanceof ParetuneError, String(error));
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
