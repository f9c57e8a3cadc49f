//! Seeded simulation of divisi's core under faults and virtual time.
