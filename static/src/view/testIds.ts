/**
 * Names by which tests find what they need; nothing else may depend on them.
 * A tile carries data-identity, data-name, data-self, data-speaking ("true" or "false"),
 * data-video ("on" or "off") and data-muted ("true" or "false"), and its `video` element while the video is on.
 */
export const TEST_IDS = {
  nameInput: "name-input",
  joinButton: "join-button",
  allowDevices: "allow-devices",
  previewVideo: "preview-video",
  previewMicrophone: "preview-mic",
  previewCamera: "preview-camera",
  tile: "tile",
  screenShareTile: "screen-share-tile",
  toolbarMicrophone: "toolbar-mic",
  toolbarCamera: "toolbar-camera",
  toolbarShare: "toolbar-share",
  toolbarChat: "toolbar-chat",
  toolbarParticipants: "toolbar-participants",
  toolbarMore: "toolbar-more",
  toolbarLeave: "toolbar-leave",
  chatInput: "chat-input",
  chatSend: "chat-send",
  chatMessage: "chat-message",
  participantRow: "participant-row",
  reconnectingBanner: "reconnecting-banner",
  leftPage: "left-page",
  rejoinButton: "rejoin-button",
} as const;
