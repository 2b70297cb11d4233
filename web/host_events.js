// The host's own events, changed or held back before the editor's listeners hear them.
//
// A listener of ours would come after the editor's, even a capturing one: api is not an element of the page, and Chromium
// calls listeners of such a target in the order in which they were added.

import { api } from '../../scripts/api.js'

const changes = new Map() // type of an event -> the functions that it passes through

function watch() {
  const dispatch = api.dispatchCustomEvent
  if (typeof dispatch !== 'function') return
  api.dispatchCustomEvent = function (type, detail, ...rest) {
    for (const change of (detail && changes.get(type)) ?? []) if (change(detail) === false) return true
    return dispatch.call(this, type, detail, ...rest)
  }
}

/** Lets a function change what events of a type bring; one that answers false holds the event back. */
export function passThrough(type, change) {
  if (!changes.size) watch()
  changes.set(type, [...(changes.get(type) ?? []), change])
}
