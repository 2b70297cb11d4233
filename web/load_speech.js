// Gives EverTalk Load Speech the player that Load Audio has.
//
// The editor's own upload button for sounds needs one beside it, and adds it to ComfyUI's own nodes alone: without,
// the node could not be put into a graph.

import { app } from '../../scripts/app.js'

const LOAD_SPEECH = 'EverTalkLoadSpeech'

app.registerExtension({
  name: 'evertalk.speech',
  beforeRegisterNodeDef(nodeType, nodeData) {
    const required = nodeData.input?.required
    if (nodeData.name !== LOAD_SPEECH || !required || required.audioUI) return
    const { upload } = required
    delete required.upload // widgets are made in order, and the button looks for the player
    required.audioUI = ['AUDIO_UI', {}]
    if (upload) required.upload = upload
  },
})
