-- What was posted otherwise than from records: by hand, by restatement, by supersession, by period.
select c.commit_id, c.kind, c.entry_ids from audit.commit c where c.kind <> 'part' order by c.commit_id
