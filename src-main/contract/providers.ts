/** Who computes: the names of ONNX Runtime's execution providers that Paretune knows. Whether one works here is runtime/providers.ts. */

export const providerNames = ['cpu', 'webgpu', 'cuda', 'dml'] as const;
export type ProviderName = (typeof providerNames)[number];

/** What a user may ask for; `auto` is the CPU: no GPU has been shown to be faster yet. */
export const providerSettings = ['auto', ...providerNames] as const;
export type ProviderSetting = (typeof providerSettings)[number];

export function providerOf(setting: ProviderSetting): ProviderName {
  return setting === 'auto' ? 'cpu' : setting;
}
