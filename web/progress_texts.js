// The lines that our nodes say while they run: in the editor's language, and on the node that they are of.
//
// Inside of a subgraph, frontend 1.32 throws "Subgraph not found" at the text of a node with an id such as `3:8`, and
// every frontend puts the text of node 8 outside on the subgraph's own node 8. So a text gets the id that the node has
// where it is shown, and one of a node that is not shown goes nowhere.

import { app } from '../../scripts/app.js'
import { nodeOf, rootGraph } from './graph.js'
import { passThrough } from './host_events.js'
import { isOurs, said } from './said.js'

/** Whether the editor may hear of a node's text: it is changed in place. */
export function placeText(progress) {
  const node = nodeOf(progress.nodeId)
  if (node && !isOurs(node.comfyClass)) return true
  progress.text = said(progress.text)
  const shown = app.canvas?.graph
  if (!shown || shown === rootGraph()) return true
  if (node?.graph !== shown) return false
  progress.nodeId = String(node.id)
  return true
}

app.registerExtension({
  name: 'evertalk.progress_texts',
  init() {
    passThrough('progress_text', placeText)
  },
})
