-- Which supplier an entry is of, told in one place, and found without reading everybody else's entries.

create function ledger.supplier_of(stream text, source_ref text) returns text
language sql immutable parallel safe as $$
    select case when stream in ('procurement', 'supplier') then source_ref end
$$;
comment on function ledger.supplier_of(text, text) is
    'the supplier an entry is of: what was bought from it, and what it declared; null for entries of no supplier';
grant execute on function ledger.supplier_of(text, text)
    to carbon_writer, carbon_reader, carbon_verifier, carbon_auditor;

create index entry_of_supplier on ledger.entry (source_ref, local_date) where stream in ('procurement', 'supplier');
