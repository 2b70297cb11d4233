// Says EverTalk's English sentences in another language, by a catalogue of templates.
//
// A template is a sentence in which {0}, {1}, ... stand for what varies. Nothing here touches the page.

const MIN_PIECE_WORDS = 3 // shorter pieces are not looked for inside of a text
const SOCKET = /^([a-z][a-z0-9_]*)( - |: )(?=\S)/ // how messages begin: the name of a socket or a widget

const CJK = /[\u4e00-\u9fff]/
const LATIN = /[A-Za-z0-9`'"]/

// What a hole may hold. Between two sentences that are joined by a comma or a semicolon, a template that ends in a
// hole must not swallow the second one: `strict` keeps it from that, and is tried first.
function holePattern(parts, index, strict) {
  const next = parts[index + 1]
  if (next === undefined) return strict ? '([^,;\\n]*)' : '([\\s\\S]*)'
  if (/^\{\d+\}$/.test(next)) return '((?:[^,;(]*[^,;( ])?) *'
  return index === 0 && !next.startsWith(':') ? '([\\s\\S]*)' : '([\\s\\S]*?)'
}

function compile([english, translated]) {
  const parts = english.split(/(\{\d+\})/).filter((part) => part !== '')
  const isHole = (part) => /^\{\d+\}$/.test(part)
  const pattern = (strict) =>
    parts.map((part, i) =>
      isHole(part) ? holePattern(parts, i, strict) : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    )
  return {
    english,
    translated,
    holes: parts.filter(isHole),
    strict: new RegExp(`^${pattern(true).join('')}$`),
    loose: new RegExp(`^${pattern(false).join('')}$`),
    letters: parts.filter((part) => !isHole(part)).join('').length,
  }
}

// Fills holes, with a space where Chinese meets Latin letters.
function fill(translated, values) {
  return translated.replace(/\{\d+\}/g, (hole, offset) => {
    const value = values.get(hole)
    const before = translated[offset - 1] ?? ''
    const after = translated[offset + hole.length] ?? ''
    const meets = (one, other) => CJK.test(one) && LATIN.test(other)
    return `${meets(before, value[0] ?? '') ? ' ' : ''}${value}${meets(after, value.at(-1) ?? '') ? ' ' : ''}`
  })
}

/**
 * A function that says a text in the other language, or gives null where the catalogue has nothing for it.
 * @param {Record<string, string>} messages templates in English, and what they are in the other language
 * @param {Record<string, string>} names names of sockets and widgets in the other language
 */
export function makeTranslator(messages, names = {}) {
  const templates = Object.entries(messages).map(compile).sort((a, b) => b.letters - a.letters)
  const pieces = templates.filter(
    (one) => one.holes.length === 0 && one.english.split(/\s+/).length >= MIN_PIECE_WORDS
  )

  function whole(text, kind) {
    for (const template of templates) {
      const found = template[kind].exec(text)
      if (!found) continue
      const values = found.slice(1).map((value) => say(value) ?? value)
      return fill(template.translated, new Map(template.holes.map((hole, i) => [hole, values[i]])))
    }
    return null
  }

  const sentence = (text) => whole(text, 'strict') ?? whole(text, 'loose')

  // Sentences joined by a semicolon; null unless every one of them is known.
  function joined(text) {
    const parts = text.split('; ').map(sentence)
    return parts.length > 1 && !parts.includes(null) ? parts.join('；') : null
  }

  function inParts(text, separator) {
    const parts = text.split(separator)
    const said = parts.length > 1 ? parts.map(say) : [null]
    return said.some((part) => part !== null) ? parts.map((part, i) => said[i] ?? part).join(separator) : null
  }

  function withPieces(text) {
    let said = text
    for (const { english, translated } of pieces) said = said.replaceAll(english, () => translated)
    return said === text ? null : said
  }

  // A sentence that is known as it is, behind another: what became of the finished windows, for one.
  function beforeLast(text) {
    const last = pieces.find(({ english }) => text.endsWith(`. ${english}`))
    const said = last && say(text.slice(0, -last.english.length - 2))
    return said ? `${said}\u3002${last.translated}` : null
  }

  function afterSocket(text) {
    const socket = SOCKET.exec(text)
    const said = socket && say(text.slice(socket[0].length))
    return said ? socket[0] + said : null
  }

  function say(text) {
    if (!text?.trim()) return null
    return (
      whole(text, 'strict') ??
      beforeLast(text) ??
      joined(text) ??
      whole(text, 'loose') ??
      inParts(text, '\n') ??
      afterSocket(text) ??
      inParts(text, '; ') ??
      withPieces(text)
    )
  }

  // The name that the page shows for the socket, before the name that the message gives it.
  function named(text) {
    const socket = /^([a-z][a-z0-9_]*)(?=[:：])/.exec(text)
    const name = socket && names[socket[1]]
    return name ? `${name} (${socket[1]})${text.slice(socket[0].length)}` : text
  }

  return (text) => {
    const said = say(text?.trim())
    return said === null ? null : named(said)
  }
}

/** The text in the other language, the English below it so that a search finds it; or as it was. */
export function inBothLanguages(text, translate) {
  const said = typeof text === 'string' ? translate(text) : null
  return said === null ? text : `${said}\n\n${text.trim()}`
}
