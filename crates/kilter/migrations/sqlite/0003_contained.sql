-- How much of a sold line the ERP's figure contains; `contained` says that this is all of it.
ALTER TABLE sold ADD COLUMN within TEXT NOT NULL DEFAULT '0';
UPDATE sold SET within = quantity WHERE contained = 1;
