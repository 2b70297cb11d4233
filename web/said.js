// What EverTalk's Python says in English, in the editor's language: for every part of the extension.
//
// messages.js finds the catalogue once, before any other part is set up. Until then, and in a language without a
// catalogue, English among them, every sentence stays as it is.

export const OURS = 'EverTalk'

/** Whether a node's type, or another name, is of this pack. */
export const isOurs = (name) => String(name ?? '').toLowerCase().startsWith(OURS.toLowerCase())

let translate = () => null

/** Takes the function that says a sentence in the editor's language, or gives null where it cannot. */
export function sayWith(translator) {
  translate = translator
}

/** A sentence of the server in the editor's language; as it is where there is nothing for it. */
export function said(sentence) {
  return (sentence && translate(sentence)) || sentence
}
