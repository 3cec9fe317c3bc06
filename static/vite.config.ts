/** Builds the browser client into dist/, which the server serves at /assets with its manifest. */
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "/assets/",
  plugins: [react()],
  publicDir: false,
  build: {
    manifest: true,
    // dist/ itself is served at the base address.
    assetsDir: "",
    target: ["chrome110", "firefox115", "safari16.4"],
    // The page's policy forbids data: scripts and fonts: every asset is a file of its own.
    assetsInlineLimit: 0,
    // 350 kB compressed is the budget of the entry; the report prints both figures.
    chunkSizeWarningLimit: 1200,
    rollupOptions: {
      input: ["src/main.tsx", "src/pages/landing.ts", "src/embed/veche-embed.ts"],
      // Other sites import what the last of them exports.
      preserveEntrySignatures: "exports-only",
    },
  },
  test: {
    include: ["tests/**/*.test.{ts,tsx}"],
    environment: "node",
    restoreMocks: true,
    // Tests read colours out of the styles.
    css: true,
  },
});
