/** Imported before anything that makes a schema: zod would probe for the making of functions from text, which the content security policy reports. */
import { z } from 'zod';

z.config({ jitless: true });
